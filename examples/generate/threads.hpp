// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/parallel.hpp>

#include "error.hpp"

namespace generate {

/// An executor whose number of threads is known when the program runs.
class threads {
 public:
  /// \throws model_error if there is no OpenMP to provide more than one
  explicit threads(int count = 1) : count_(count) {
#ifndef _OPENMP
    if (count > 1) fail("this program was compiled without OpenMP: it has one thread");
#endif
  }

  template <class Work>
  void operator()(headroom::Index items, const Work& work) const {
#ifdef _OPENMP
    if (count_ > 1) return headroom::openmp{count_}(items, work);
#endif
    headroom::serial{}(items, work);
  }

 private:
  int count_;
};

}  // namespace generate
