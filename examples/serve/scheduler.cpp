// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "scheduler.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace serve {

namespace {

void require(bool holds, const std::string& otherwise) {
  if (!holds) throw std::invalid_argument("scheduler: " + otherwise);
}

}  // namespace

scheduler::scheduler(const limits& limits, Index shared)
    : limits_(limits), shared_(shared), pages_free_(0) {
  require(limits.page_tokens > 0 && limits.chunk > 0 && limits.running > 0,
          "page_tokens, chunk or running is not positive");
  require(limits.rows >= limits.running + limits.chunk,
          "rows = " + std::to_string(limits.rows) + ", expected running + chunk = " +
              std::to_string(limits.running + limits.chunk) + " or more");
  pages_free_ = limits.pages - pages_for(shared);
  require(pages_free_ > 0, "pages = " + std::to_string(limits.pages) + ", expected more than the " +
                               std::to_string(pages_for(shared)) + " that the system prompt takes");
}

void scheduler::arrive(Index id, const prompt_parts& parts, Index tokens) {
  // The last token that is written is never computed.
  const Index needed = own_pages(parts.end() + tokens - 1);
  const Index all = limits_.pages - pages_for(shared_);
  require(needed <= all, "request " + std::to_string(id) + " takes " + std::to_string(needed) +
                             " pages, the pool has " + std::to_string(all));
  queue_.push_back({id, parts, parts.end(), 0});
}

scheduler::step scheduler::next() {
  step result;
  Index rows = limits_.rows;
  for (std::size_t i = 0; i < static_cast<std::size_t>(running_); ++i)
    rows -= queue_[i].decodes();  // which never waits for a prompt
  for (std::size_t i = 0; i < static_cast<std::size_t>(running_); ++i) assign(i, rows, result);
  if (!result.preempted.empty()) return result;
  while (waiting() > 0 && running_ < limits_.running && rows >= limits_.chunk) {
    const auto place = static_cast<std::size_t>(running_);
    if (!may_admit(queue_[place])) break;
    queue_[place].cached = shared_;
    result.admitted.push_back(queue_[place].id);
    ++running_;
    assign(place, rows, result);
  }
  return result;
}

void scheduler::assign(std::size_t place, Index& rows, step& plan) {
  job& j = queue_[place];
  piece p = next_piece(j.parts, limits_.chunk, j.cached, j.known);
  if (!j.decodes()) {
    if (p.apart) p.end = std::min(p.end, p.begin + rows);
    if (p.tokens() == 0 || p.tokens() > rows) return;
    rows -= p.tokens();
  }
  const Index pages = own_pages(p.end) - own_pages(j.cached);
  if (!make_room(place, pages, plan)) return;
  pages_free_ -= pages;
  j.cached = p.end;
  plan.assignments.push_back({j.id, p, p.end == j.known});
}

// Whether there is room at last, and the job still runs.
bool scheduler::make_room(std::size_t place, Index pages, step& plan) {
  while (pages > pages_free_) {
    preempt_youngest(plan);
    if (static_cast<std::size_t>(running_) == place) return false;
  }
  return true;
}

void scheduler::preempt_youngest(step& plan) {
  job& youngest = queue_[static_cast<std::size_t>(--running_)];
  pages_free_ += own_pages(youngest.cached);
  youngest.cached = 0;
  plan.preempted.push_back(youngest.id);
}

bool scheduler::may_admit(const job& next) const {
  Index pages = own_pages(next.known) + std::min<Index>(running_, 1);
  for (std::size_t i = 0; i < static_cast<std::size_t>(running_); ++i)
    pages += own_pages(queue_[i].known) - own_pages(queue_[i].cached);
  return pages <= pages_free_;
}

void scheduler::wrote(Index id) {
  ++queue_[place_of(id)].known;
}

void scheduler::finish(Index id) {
  const std::size_t place = place_of(id);
  pages_free_ += own_pages(queue_[place].cached);
  queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(place));
  --running_;
}

std::size_t scheduler::place_of(Index id) const {
  const auto end = queue_.begin() + running_;
  const auto found = std::find_if(queue_.begin(), end, [&](const job& j) { return j.id == id; });
  require(found != end, "request " + std::to_string(id) + " does not run");
  return static_cast<std::size_t>(found - queue_.begin());
}

// Pages that a sequence holds beside those it shares. The first token behind the system prompt
// copies the page that both are on.
Index scheduler::own_pages(Index tokens) const {
  return tokens <= shared_ ? 0 : pages_for(tokens) - shared_ / limits_.page_tokens;
}

Index scheduler::pages_unshared() const {
  Index pages = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(running_); ++i)
    pages += pages_for(queue_[i].cached);
  return pages;
}

}  // namespace serve
