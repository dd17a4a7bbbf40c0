// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <algorithm>
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

/// How far a job is, as "serving [#########           ] 45 %, 12 s".
///
/// \param fraction  of the job that is done, 0 to 1
inline std::string progress_bar(const std::string& job, double fraction, double seconds) {
  // Rounded down: the bar is full when all is done.
  const int percent = static_cast<int>(100 * std::clamp(fraction, 0.0, 1.0));
  std::string bar(20, ' ');
  std::fill_n(bar.begin(), percent / 5, '#');
  return job + " [" + bar + "] " + std::to_string(percent) + " %, " +
         std::to_string(static_cast<int>(seconds)) + " s";
}

/// Shows on stderr how far a job is, once it takes longer than two seconds: on a terminal as a bar
/// that grows in its place and is then removed, elsewhere as a line now and then.
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
    std::fprintf(stderr, terminal_ ? "\r%s\033[K" : "%s\n",
                 progress_bar(job_, fraction, now).c_str());
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
