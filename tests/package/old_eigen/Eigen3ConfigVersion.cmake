# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
set(PACKAGE_VERSION 3.3.9)
