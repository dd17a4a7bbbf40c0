// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Masks: which keys a query sees. The usual ones are formulas, join with & and |, and cost no
// memory; a mask of one's own is a lambda. Here each is drawn (a row a query, # a key it sees), and
// then compared with what a mask means: the other keys might as well not be there.
#include <headroom/attention.hpp>
#include <headroom/mask.hpp>
#include <headroom/score_mod.hpp>

#include <array>

#include "ladder.hpp"

// Four queries at the end of eight tokens: the last chunk of a prompt, say.
constexpr Index q_len = 4, kv_len = 8, dim = 16;

template <headroom::attention_mask Mask>
bool show(const char* name, const Mask& mask) {
  const headroom::attention<1, 1> attend(dim);
  const Matrix q = Matrix::Random(q_len, dim);
  const Matrix k = Matrix::Random(kv_len, dim), v = Matrix::Random(kv_len, dim);
  Matrix masked(q_len, dim), gathered(q_len, dim);
  attend(q, k, v, masked, mask);

  std::printf("%s\n", name);
  for (Index t = 0; t < q_len; ++t) {
    const headroom::query_row row{
        .head = 0, .query = t, .position = t + kv_len - q_len, .kv_len = kv_len};
    Matrix seen_k(kv_len, dim), seen_v(kv_len, dim);
    Index seen = 0;
    for (Index j = 0; j < kv_len; ++j) {
      const bool visible = headroom::sees(mask, row, j);
      std::printf("%s%s", j == 0 ? "    " : " ", visible ? "#" : ".");
      if (!visible) continue;
      seen_k.row(seen) = k.row(j);
      seen_v.row(seen++) = v.row(j);
    }
    std::puts("");
    attend(q.row(t), seen_k.topRows(seen), seen_v.topRows(seen), gathered.row(t));
  }
  return agree("    masked, and over the keys that are seen", masked, gathered);
}

// Positions are those of the last keys, unless it is said where they begin: a prompt of four tokens
// in a buffer of eight stands at its beginning.
bool show_padded() {
  const headroom::attention<1, 1> attend(dim);
  const Matrix q = Matrix::Random(q_len, dim);
  const Matrix k = Matrix::Random(kv_len, dim), v = Matrix::Random(kv_len, dim);
  Matrix padded(q_len, dim), alone(q_len, dim);
  attend(q, k, v, padded, headroom::causal{} & headroom::key_length{q_len}, {.first_position = 0});
  attend(q, k.topRows(q_len), v.topRows(q_len), alone, headroom::causal{});
  return agree("a padded prompt, and the prompt alone", padded, alone);
}

int main() {
  using namespace headroom;  // masks read best without a prefix
  // The last query sees every key, whatever q_len is: prefill, a chunk of it, and decode.
  bool holds = show("causal{}", causal{});
  // A window counts the query's own position.
  holds &= show("causal{} & sliding_window{3}", causal{} & sliding_window{3});
  // Chunks of four tokens, each on its own.
  holds &= show("causal{} & local_chunk{4}", causal{} & local_chunk{4});
  // A prefix that is read both ways, as a prefix language model does.
  holds &= show("causal{} | prefix{6}", causal{} | prefix{6});
  // A window that keeps the first token in sight.
  holds &= show("causal{} & (sliding_window{2} | prefix{1})",
                causal{} & (sliding_window{2} | prefix{1}));
  // Two documents in one row of tokens: a lambda, compiled into the kernel.
  const std::array document = {0, 0, 0, 0, 0, 1, 1, 1};
  const auto same_document = mask([&](const query_row& row, Index key) {
    return document[static_cast<std::size_t>(row.position)] ==
           document[static_cast<std::size_t>(key)];
  });
  holds &= show("causal{} & same_document", causal{} & same_document);
  holds &= show_padded();
  return verdict(holds);
}
