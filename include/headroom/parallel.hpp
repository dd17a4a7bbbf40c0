// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace headroom::inline HEADROOM_ISA {

namespace detail {

// A stand-in for the kernels' work, so that a concept can ask "can you run this?".
struct sample_work {
  void operator()(Index) const {}
};

}  // namespace detail

/// Runs work: executor(count, work) calls work(i) once for each i in [0, count), in any order and
/// from any threads, and returns when all calls have returned. A pool of the user's is one line:
///
///   auto executor = [&](headroom::Index count, const auto& work) { pool.for_each(count, work); };
///
/// Results are the same bits for every executor and any number of threads: how keys are cut never
/// depends on them. The library starts no thread of its own.
///
/// What is the user's and runs in work, such as a mask, may throw where the executor passes that on
/// once no call of work runs any more, as serial does; out is then written in part.
template <class E>
concept executor = requires(const E& e, Index count, const detail::sample_work& work) {
  e(count, work);
};

/// Runs everything on the calling thread: the default.
struct serial {
  template <class Work>
  void operator()(Index count, const Work& work) const {
    for (Index i = 0; i < count; ++i) work(i);
  }
};

#ifdef _OPENMP
/// Runs work on an OpenMP team; there only where the file is compiled with OpenMP. Masks, score
/// modifications, sources and codecs of the user's must not throw under it.
struct openmp {
  int threads = 0;  ///< size of the team; 0 leaves it to OpenMP

  template <class Work>
  void operator()(Index count, const Work& work) const {
    if (count == 1) return work(0);
    const int team = threads > 0 ? threads : omp_get_max_threads();
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
    for (Index i = 0; i < count; ++i) work(i);
  }
};
#endif

}  // namespace headroom::inline HEADROOM_ISA
