// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

namespace generate {

/// Seconds since it was made.
class stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Says on stderr how far a job is, once it takes longer than two seconds: on a terminal in one
/// line that is rewritten and then removed, elsewhere in a line now and then.
class progress {
 public:
  explicit progress(std::string job) : job_(std::move(job)) {}
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress() {
    if (shown_ && terminal_) std::fputs("\r\033[K", stderr);
  }

  void update(double fraction) {
    const double now = clock_.seconds();
    if (now < 2 || now - last_ < (terminal_ ? 0.2 : 10)) return;
    last_ = now;
    shown_ = true;
    std::fprintf(stderr, terminal_ ? "\r%s: %.0f %%, %.0f s\033[K" : "%s: %.0f %%, %.0f s\n",
                 job_.c_str(), 100 * fraction, now);
    std::fflush(stderr);
  }

 private:
  std::string job_;
  stopwatch clock_;
  double last_ = -10;
  bool shown_ = false;
  bool terminal_ = isatty(STDERR_FILENO) != 0;
};

}  // namespace generate
