// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "piece.hpp"

namespace serve {

/// What bounds a step.
struct limits {
  Index pages;        ///< of a layer's pool
  Index page_tokens;  ///< tokens of a page
  Index rows;         ///< tokens that a step computes at most, a chunk and `running` or more
  Index chunk;        ///< tokens of a prompt's piece
  Index running;      ///< sequences at once
};

/// Decides, step by step, what is computed and whose pages are given up. It knows numbers of tokens
/// and pages, nothing of models, and what it says of pages must be done for the numbers to hold.
///
/// Requests stand in one queue, the oldest first, and those that run are always its head:
///
///   - a step gives each of them a piece, from the oldest on, as long as there are rows;
///   - where pages are missing, the youngest that runs is preempted, until there are enough: its
///     pages are given up, its text is kept, and it is the next to be admitted;
///   - then the next are admitted, if what is known of them fits, and a page more where others run.
///
/// So none overtakes another, and the oldest always runs, in every step: all are served.
class scheduler {
 public:
  /// \param shared  tokens of a system prompt whose pages are in the pool for good and which each
  ///                request forks; 0 if each computes it itself
  /// \throws std::invalid_argument naming the limit that leaves no room
  scheduler(const limits& limits, Index shared);

  /// Puts a request in the queue.
  ///
  /// \param id      that no other has
  /// \param tokens  that it writes at most
  /// \throws std::invalid_argument if it would not fit into the pool alone
  void arrive(Index id, const prompt_parts& parts, Index tokens);

  /// A piece of a request, and whether the last token's logits tell the next one.
  struct assignment {
    Index id;
    piece tokens;
    bool writes;
  };

  struct step {
    std::vector<Index> preempted;         ///< give up their pages, before anything is computed
    std::vector<Index> admitted;          ///< begin as a fork of the system prompt, or empty
    std::vector<assignment> assignments;  ///< are then computed and cached
  };

  /// What is next. It counts as done.
  step next();

  /// A token was written for a request that runs.
  void wrote(Index id);

  /// A request gives up its pages and is forgotten.
  void finish(Index id);

  bool idle() const { return queue_.empty(); }
  Index running() const { return running_; }
  Index waiting() const { return static_cast<Index>(queue_.size()) - running_; }
  Index pages_free() const { return pages_free_; }

  /// Pages that those who run would hold, were nothing shared.
  Index pages_unshared() const;

 private:
  struct job {
    Index id;
    prompt_parts parts;
    Index known;   // tokens of prompts and text so far
    Index cached;  // of these, in the pool

    bool decodes() const { return cached >= parts.end() && cached + 1 == known; }
  };

  Index pages_for(Index tokens) const {
    return (tokens + limits_.page_tokens - 1) / limits_.page_tokens;
  }
  Index own_pages(Index tokens) const;
  void assign(std::size_t place, Index& rows, step& plan);
  bool make_room(std::size_t place, Index pages, step& plan);
  void preempt_youngest(step& plan);
  bool may_admit(const job& next) const;
  std::size_t place_of(Index id) const;

  limits limits_;
  Index shared_;
  Index pages_free_;
  std::vector<job> queue_;  // the oldest first
  Index running_ = 0;       // the first so many
};

}  // namespace serve
