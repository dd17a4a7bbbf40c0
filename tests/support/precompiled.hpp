// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every test starts with this, compiled once. The order matters: eigen_assert before Eigen.
// clang-format off
#include "support/eigen_assert.hpp"
// clang-format on

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "support/catch.hpp"
