// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "server.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace serve {

namespace {

constexpr Index system_sequence = -1;  // the number of the system prompt; requests count from 0

}  // namespace

limits server::limits_of(const paged_model& model, const serve_options& options) {
  return {model.pages(), model.page_tokens(), options.rows, options.chunk, options.running};
}

server::server(paged_model& model, const workload& load, const serve_options& options)
    : model_(model),
      load_(load),
      options_(options),
      scheduler_(limits_of(model, options),
                 options.share ? static_cast<Index>(load.system.size()) : 0) {
  result_.answers.resize(load.requests.size());
}

service server::run(const std::function<void(double)>& report) {
  clock_ = {};
  const auto add = [](Index sum, const request& r) { return sum + r.tokens; };
  const Index all = std::accumulate(load_.requests.begin(), load_.requests.end(), Index(0), add);
  if (options_.share) read_system_prompt();
  for (Index step = 0; sessions_.size() < load_.requests.size() || !scheduler_.idle(); ++step) {
    if (scheduler_.idle()) step = std::max(step, load_.requests[sessions_.size()].arrival);
    receive(step);
    execute(scheduler_.next());
    record(step);
    release_finished();
    if (report) report(static_cast<double>(written_) / static_cast<double>(all));
  }
  if (options_.share) model_.close(system_sequence);
  result_.seconds = clock_.seconds();
  if (model_.pages_in_use() != 0) throw std::logic_error("serve: pages are held by nobody");
  return std::move(result_);
}

void server::read_system_prompt() {
  const prompt_parts parts{static_cast<Index>(load_.system.size()), 0};
  model_.open(system_sequence);
  for (Index cached = 0; cached < parts.system;) {
    packed_rows rows;
    rows.add(system_sequence, next_piece(parts, options_.chunk, cached, parts.system),
             load_.system);
    model_.logits(rows);
    cached = rows.runs.front().tokens.end;
  }
}

void server::receive(Index step) {
  while (sessions_.size() < load_.requests.size() &&
         load_.requests[sessions_.size()].arrival <= step) {
    const request& r = load_.requests[sessions_.size()];
    const prompt_parts parts{static_cast<Index>(load_.system.size()),
                             static_cast<Index>(r.prompt.size())};
    scheduler_.arrive(static_cast<Index>(sessions_.size()), parts, r.tokens);
    sessions_.push_back({parts, load_.beginning(r), generate::sampler(load_.temperature, r.seed),
                         clock_.seconds()});
  }
}

void server::execute(const scheduler::step& plan) {
  for (const Index id : plan.preempted) model_.close(id);
  result_.preemptions += static_cast<Index>(plan.preempted.size());
  for (const Index id : plan.admitted) {
    if (options_.share)
      model_.fork(system_sequence, id);
    else
      model_.open(id);
  }
  if (!options_.batch) {
    for (const scheduler::assignment& a : plan.assignments) compute_apart(a);
    return;
  }
  packed_rows rows;
  for (const scheduler::assignment& a : plan.assignments) rows.add(a.id, a.tokens, of(a.id).known);
  compute(rows, plan.assignments);
}

// A call for the request alone. Tokens that are apart were computed one at a time.
void server::compute_apart(const scheduler::assignment& a) {
  const Index step = a.tokens.apart ? 1 : a.tokens.tokens();
  for (Index t = a.tokens.begin; t < a.tokens.end; t += step) {
    const piece p{t, t + step, a.tokens.apart};
    packed_rows rows;
    rows.add(a.id, p, of(a.id).known);
    compute(rows, {{a.id, p, a.writes && p.end == a.tokens.end}});
  }
}

void server::compute(const packed_rows& rows,
                     const std::vector<scheduler::assignment>& assignments) {
  if (assignments.empty()) return;
  const Matrix logits = model_.logits(rows);
  for (std::size_t i = 0; i < assignments.size(); ++i)
    if (assignments[i].writes) write(assignments[i].id, logits.row(static_cast<Index>(i)));
}

void server::write(Index id, const Eigen::RowVectorXf& logits) {
  session& s = of(id);
  answer& a = result_.answers[static_cast<std::size_t>(id)];
  const std::vector<Index>& ends = model_.config().end_tokens;
  a.written.add_logits(logits);
  const Index token = s.pick(logits);
  const double now = clock_.seconds();
  if (std::find(ends.begin(), ends.end(), token) != ends.end()) return finished_.push_back(id);
  if (a.written.ids.empty())
    a.first_token = now - s.arrived;
  else
    a.pauses.push_back(now - s.last);
  s.last = now;
  s.known.push_back(token);
  a.written.ids.push_back(token);
  ++written_;
  scheduler_.wrote(id);
  if (static_cast<Index>(a.written.ids.size()) ==
      load_.requests[static_cast<std::size_t>(id)].tokens)
    finished_.push_back(id);
}

void server::record(Index step) {
  const Index used = model_.pages_in_use();
  if (used + scheduler_.pages_free() != model_.pages())
    throw std::logic_error("serve: the pool has not the pages that the scheduler counts on");
  result_.moments.push_back({step, clock_.seconds(), used, scheduler_.pages_unshared(),
                             scheduler_.running(), scheduler_.waiting()});
}

void server::release_finished() {
  for (const Index id : finished_) {
    scheduler_.finish(id);
    model_.close(id);
  }
  finished_.clear();
}

}  // namespace serve
