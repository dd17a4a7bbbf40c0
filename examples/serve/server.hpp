// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "paged_model.hpp"
#include "progress.hpp"
#include "sampler.hpp"
#include "scheduler.hpp"
#include "text.hpp"

namespace serve {

struct serve_options {
  Index rows = 96;  ///< see limits
  Index chunk = 32;
  Index running = 32;
  bool share = true;  ///< the system prompt is computed once and its pages are shared
  bool batch = true;  ///< all that a step computes is computed together; else request by request
};

/// What became of a request.
struct answer {
  text written;
  double first_token = 0;      ///< seconds from its arrival
  std::vector<double> pauses;  ///< seconds from each token to the next
};

/// How things stood when a step was computed.
struct moment {
  Index step;
  double seconds;        ///< since the beginning
  Index pages_in_use;    ///< of a layer
  Index pages_unshared;  ///< that would be, if all sequences had pages of their own
  Index running, waiting;
};

struct service {
  std::vector<answer> answers;  ///< in the order of the requests
  std::vector<moment> moments;
  double seconds = 0;
  Index preemptions = 0;
};

/// Serves a workload: a clock of steps tells when requests arrive, so that everything but the
/// seconds is the same in every run. Steps without anything to do take no time.
class server {
 public:
  /// \param model  without sequences
  /// \throws std::invalid_argument if a request does not fit, see scheduler
  server(paged_model& model, const workload& load, const serve_options& options);

  /// Serves all requests; `report` is told which part of the text is written.
  service run(const std::function<void(double)>& report = {});

 private:
  struct session {
    prompt_parts parts;
    std::vector<Index> known;  // tokens: both prompts and what was written
    generate::sampler pick;
    double arrived = 0, last = 0;
  };

  static limits limits_of(const paged_model& model, const serve_options& options);
  void read_system_prompt();
  void receive(Index step);
  void execute(const scheduler::step& plan);
  void compute(const packed_rows& rows, const std::vector<scheduler::assignment>& assignments);
  void compute_apart(const scheduler::assignment& a);
  void write(Index id, const Eigen::RowVectorXf& logits);
  void record(Index step);
  void release_finished();
  session& of(Index id) { return sessions_[static_cast<std::size_t>(id)]; }

  paged_model& model_;
  const workload& load_;
  serve_options options_;
  scheduler scheduler_;
  std::vector<session> sessions_;  // of all that have arrived
  std::vector<Index> finished_;    // in this step
  generate::stopwatch clock_;
  service result_;
  Index written_ = 0;
};

}  // namespace serve
