// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: whatever is done to the sequences of two pools, in whatever order, each holds the tokens
// that a vector of its own would hold, and its pool counts what the tables list. Attention over it,
// and over a view of any table, is attention over those tokens. What cannot be done throws what is
// documented and changes nothing.
#include <headroom/attention.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/paged_view.hpp>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "fuzz/fuzz.hpp"
#include "support/any_source.hpp"
#include "support/pages.hpp"
#include "support/problem.hpp"
#include "support/sequence_model.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using Sequence = hr::paged_cache<float>;
using View = hr::paged_view<float>;
using Source = any_source<Sequence, View>;

constexpr Index groups = 2, qk_dim = 3, v_dim = 2;
constexpr std::size_t most_sequences = 5;  // of a pool

// A pool, its sequences, and the token last written to each slot of each page, or -1.
struct pages {
  modelled_sequence::Pool pool;
  std::vector<modelled_sequence> sequences;
  std::vector<Index> slots;

  explicit pages(byte_source& bytes)
      : pool(bytes.integer(0, 7), bytes.integer(1, 5), groups, qk_dim, v_dim),
        slots(static_cast<std::size_t>(pool.pages() * pool.page_tokens()), -1) {
    poison(pool);
  }

  Index& slot(hr::page_id page, Index s) {
    return slots[static_cast<std::size_t>(page * pool.page_tokens() + s)];
  }

  void wrote(const modelled_sequence& s) {
    for (Index t = 0; t < s.sequence.tokens(); ++t)
      slot(s.sequence.block_table()[static_cast<std::size_t>(t / pool.page_tokens())],
           t % pool.page_tokens()) = s.tokens[static_cast<std::size_t>(t)];
  }

  // As wrote, and behind the tokens the last page, which may be a copy of another made before the
  // sequence was shortened, holds what is not said.
  void shortened(const modelled_sequence& s) {
    wrote(s);
    if (s.sequence.tokens() % pool.page_tokens() == 0) return;
    for (Index i = s.sequence.tokens() % pool.page_tokens(); i < pool.page_tokens(); ++i)
      slot(s.sequence.block_table().back(), i) = -1;
  }

  void check() const {
    expect(std::ranges::all_of(sequences, holds), "a sequence holds its tokens");
    expect(counted(pool, sequences), "the pool counts what the tables list");
  }
};

class world {
 public:
  explicit world(byte_source& bytes) : bytes_(bytes), stocks_{pages(bytes), pages(bytes)} {}

  void step() {
    pages& stock = stocks_[bytes_.integer(0, 1)];
    auto& sequences = stock.sequences;
    const Index choice = bytes_.integer(0, 12);
    if (choice == 0 || sequences.empty()) return make(stock);
    const auto any = static_cast<std::size_t>(bytes_.integer(0, std::ssize(sequences) - 1));
    modelled_sequence& s = sequences[any];
    switch (choice) {
      case 1:
      case 2:
        return append_to(stock, s);
      case 3:
        if (sequences.size() == most_sequences) return;
        return sequences.push_back(modelled_sequence{s.sequence.fork(), s.tokens});
      case 4:
        return truncate(s);
      case 5:
        s.sequence.clear();
        s.tokens.clear();
        return;
      case 6:
        return move(stock, any);
      case 7:
        std::swap(sequences[any], sequences.back());
        return sequences.pop_back();
      case 8:
        return attend(Source(s.sequence), s.tokens);
      case 9:
        return erase(stock, s);
      case 10:
        return keep(stock, s);
      case 11:
        return unshare(stock, s);
      default:
        return look(stock, s);
    }
  }

  void check() const {
    for (const pages& stock : stocks_) stock.check();
  }

 private:
  void make(pages& stock) {
    if (stock.sequences.size() == most_sequences) return;
    const Index capacity = bytes_.integer(-2, 20);
    std::optional<Index> given;
    if (capacity < 20) given = capacity;
    const bool refused = throws<std::invalid_argument>([&] {
      stock.sequences.push_back({Sequence(stock.pool, given), {}});
    });
    expect(refused == (capacity < 0), "a negative capacity is refused, no other");
  }

  void append_to(pages& stock, modelled_sequence& s) {
    const Index count = bytes_.integer(0, 12), width = bytes_.integer(0, 40) == 0 ? 1 : qk_dim;
    if (width != qk_dim) {
      const token_rows rows(std::vector<Index>(static_cast<std::size_t>(count)), groups, width,
                            v_dim);
      return expect(
          throws<std::invalid_argument>([&] { s.sequence.append(rows.keys(), rows.values()); }),
          "keys of another width are refused");
    }
    const bool fits = s.sequence.tokens() + count <= s.sequence.capacity() &&
                      pages_taken(stock.pool, stock.sequences, s, count) <= stock.pool.pages_free();
    const bool refused = throws<std::length_error>([&] { append(s.sequence, next_, count); });
    expect(refused != fits, "an append is refused if there is no room, and only then");
    if (refused) return;
    for (Index t = 0; t < count; ++t) s.tokens.push_back(next_++);
    stock.wrote(s);
  }

  void truncate(modelled_sequence& s) {
    const Index kept = bytes_.integer(-1, 20);
    const bool fits = 0 <= kept && kept <= s.sequence.tokens();
    const bool refused = throws<std::invalid_argument>([&] { s.sequence.truncate(kept); });
    expect(refused != fits, "a sequence is cut to at most its length");
    if (fits) s.tokens.resize(static_cast<std::size_t>(kept));
  }

  // A change that copies the shared pages that it writes to: refused where the sequence has no such
  // tokens, or where the pool lacks pages, and then nothing is changed. `model` does the same to
  // the tokens.
  template <class Change, class Model>
  void change(pages& stock, modelled_sequence& s, bool fits, const Change& make,
              const Model& model) {
    const Index free = stock.pool.pages_free(), shared = stock.pool.pages_shared();
    bool full = false;
    const bool refused =
        throws<std::invalid_argument>([&] { full = throws<std::length_error>(make); });
    expect(refused != fits, "tokens are changed if they are there, and only then");
    expect(!full || free < shared, "copies are refused only where the pool lacks pages");
    if (refused || full) {
      expect(stock.pool.pages_free() == free && stock.pool.pages_shared() == shared,
             "what is refused changes nothing");
    } else {
      model();
      stock.shortened(s);
    }
  }

  void erase(pages& stock, modelled_sequence& s) {
    const Index begin = bytes_.integer(-1, 20), end = bytes_.integer(-1, 20);
    const bool fits = 0 <= begin && begin <= end && end <= s.sequence.tokens();
    const bool unshares = bytes_.integer(0, 1) == 1;
    change(
        stock, s, fits,
        [&] { unshares ? s.sequence.erase_and_unshare(begin, end) : s.sequence.erase(begin, end); },
        [&] { s.tokens.erase(s.tokens.begin() + begin, s.tokens.begin() + end); });
  }

  void keep(pages& stock, modelled_sequence& s) {
    const Index first = bytes_.integer(-1, 12), count = bytes_.integer(0, 4);
    std::vector<Index> kept;
    for (Index i = 0; i < count; ++i)
      kept.push_back((kept.empty() ? -1 : kept.back()) + bytes_.integer(0, 4));
    bool fits = 0 <= first && first <= s.sequence.tokens();
    for (std::size_t i = 0; i < kept.size(); ++i)
      fits &=
          (i == 0 ? 0 <= kept[i] : kept[i - 1] < kept[i]) && first + kept[i] < s.sequence.tokens();
    change(
        stock, s, fits, [&] { s.sequence.keep(first, kept); },
        [&] {
          std::vector<Index> left(s.tokens.begin(), s.tokens.begin() + first);
          for (const Index i : kept) left.push_back(s.tokens[static_cast<std::size_t>(first + i)]);
          s.tokens = left;
        });
  }

  void unshare(pages& stock, modelled_sequence& s) {
    const Index begin = bytes_.integer(-1, 20), end = bytes_.integer(-1, 20);
    const bool fits = 0 <= begin && begin <= end && end <= s.sequence.tokens();
    change(
        stock, s, fits, [&] { s.sequence.unshare(begin, end); }, [] {});
  }

  // Gives a sequence's place to another, which may be itself or on the other pool's pages.
  void move(pages& stock, std::size_t from) {
    pages& other = stocks_[bytes_.integer(0, 1)];
    if (other.sequences.empty()) return;
    const auto to = static_cast<std::size_t>(bytes_.integer(0, std::ssize(other.sequences) - 1));
    modelled_sequence& source = stock.sequences[from];
    modelled_sequence& target = other.sequences[to];
    if (&source == &target) {
      target.sequence = std::move(source.sequence);
      return;
    }
    if (&stock != &other && stock.sequences.size() == most_sequences) return;
    target.sequence = std::move(source.sequence);
    target.tokens = std::exchange(source.tokens, {});
    if (&stock == &other) return;
    modelled_sequence arrived{std::move(target.sequence), std::move(target.tokens)};
    std::swap(target, other.sequences.back());
    other.sequences.pop_back();
    stock.sequences.push_back(std::move(arrived));
  }

  // A view of a table that may be anything: the sequence's own, another's, one that is too short,
  // or pages of the other pool, which this one may not have.
  void look(pages& stock, const modelled_sequence& s) {
    std::vector<hr::page_id> table(s.sequence.block_table().begin(),
                                   s.sequence.block_table().end());
    const Index entries = bytes_.integer(0, 6);
    for (Index i = 0; i < entries; ++i)
      table.push_back(static_cast<hr::page_id>(bytes_.integer(-1, stock.pool.pages())));
    if (!table.empty() && bytes_.integer(0, 15) == 0)
      table[static_cast<std::size_t>(bytes_.integer(0, std::ssize(table) - 1))] =
          bytes_.number<hr::page_id>();
    const Index tokens =
        bytes_.integer(0, 15) == 0 ? bytes_.number<Index>() : bytes_.integer(-1, 30);
    const Index page_tokens = bytes_.integer(0, 40) == 0 ? 0 : stock.pool.page_tokens();
    const hr::page_sizes sizes{stock.pool.pages(), page_tokens, groups, qk_dim, v_dim};

    std::optional<View> view;
    const bool refused = throws<std::invalid_argument>([&] {
      view.emplace(stock.pool.key_pages(), stock.pool.value_pages(), sizes, table, tokens);
    });
    bool fits = page_tokens > 0 && 0 <= tokens && tokens <= std::ssize(table) * page_tokens;
    for (std::size_t i = 0; fits && static_cast<Index>(i) * page_tokens < tokens; ++i)
      fits = 0 <= table[i] && table[i] < stock.pool.pages();
    expect(refused != fits, "a table is refused if it does not reach or has no such page");
    if (refused) return;

    std::vector<Index> held;
    for (Index t = 0; t < tokens; ++t)
      held.push_back(stock.slot(table[static_cast<std::size_t>(t / page_tokens)], t % page_tokens));
    for (Index t = 0; t < tokens; ++t)
      if (const Index token = held[static_cast<std::size_t>(t)]; token >= 0)
        expect(holds_token(*view, t, token), "a view shows what is on the pages of its table");
    if (std::ranges::all_of(held, [](Index token) { return token >= 0; }))
      attend(Source(*view), held);
  }

  void attend(const Source& source, const std::vector<Index>& tokens) {
    const Index q_len = bytes_.integer(0, 3), Q_heads = groups * bytes_.integer(1, 3);
    tensor<float> q(q_len, Q_heads, qk_dim);
    for (Index t = 0; t < q_len; ++t)
      for (Index h = 0; h < Q_heads; ++h)
        for (Index d = 0; d < qk_dim; ++d) q(t, h, d) = number_of(7000 + t, h, d);
    const token_rows rows(tokens, groups, qk_dim, v_dim);
    const auto exact =
        exact_attention<float>(std::as_const(q).view(), rows.keys(), rows.values(), hr::causal());
    answer<float> got{{q_len, Q_heads, v_dim}, {q_len, Q_heads, 1}};
    any_attention(Q_heads, groups, qk_dim, v_dim)(std::as_const(q).view(), source, got.out.view(),
                                                  hr::causal(), {.lse = got.lse.per_head()});
    expect(error_ratio(got, exact) <= 1, "attention is that of the tokens");
  }

  byte_source& bytes_;
  pages stocks_[2];
  Index next_ = 0;  // token
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  byte_source bytes(data, size);
  world all(bytes);
  while (!bytes.empty()) {
    all.step();
    all.check();
  }
  return 0;
}
