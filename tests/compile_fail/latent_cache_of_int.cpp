// expect: latent_cache<Scalar, ...>: Scalar must be float, double, Eigen::half or
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/latent_cache.hpp>

#ifdef HEADROOM_MISUSE
headroom::latent_cache<int, 512, 64> cache(100);
#else
headroom::latent_cache<float, 512, 64> cache(100);
#endif
