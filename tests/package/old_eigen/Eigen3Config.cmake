# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
#
# Stands for an Eigen that is too old.
add_library(Eigen3::Eigen INTERFACE IMPORTED)
