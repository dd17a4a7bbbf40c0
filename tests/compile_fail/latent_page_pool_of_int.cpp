// expect: latent_page_pool<Scalar, ...>: Scalar must be float, double, Eigen::half or
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/paged_latents.hpp>

#ifdef HEADROOM_MISUSE
headroom::latent_page_pool<int, 512, 64> pool(100, 16);
#else
headroom::latent_page_pool<float, 512, 64> pool(100, 16);
#endif
