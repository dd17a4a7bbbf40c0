// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a paged_view reads the pages that a table lists, whoever owns them and however they lie,
// and nothing behind the last token; a table that does not fit is refused with the number that is
// wrong.
#include <headroom/int8_codec.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/paged_latents.hpp>
#include <headroom/paged_view.hpp>

#include "support/catch.hpp"
#include "support/pages.hpp"
#include "support/problem.hpp"
#include "support/refusal.hpp"

#include <limits>
#include <stdexcept>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

static_assert(hr::kv_source<hr::paged_view<float>>);
static_assert(hr::kv_source<hr::paged_view<Eigen::bfloat16, hr::int8_blocks>>);

constexpr problem_size size{3, 23, 4, 2, 8, 5};
constexpr hr::page_sizes sizes{
    .pages = 9, .page_tokens = 4, .KV_groups = 2, .qk_dim = 8, .v_dim = 5};
const std::vector<hr::page_id> table = {7, 2, 0, 8, 3, 5};

template <class Source>
answer<float> attend_to(const problem<>& p, const Source& source) {
  answer<float> result{{size.q_len, size.Q_heads, size.v_dim}, {size.q_len, size.Q_heads, 1}};
  const any_attention heads(size.Q_heads, size.KV_groups, size.qk_dim, size.v_dim);
  heads(p.queries(), source, result.out.view(), hr::causal{}, {.lse = result.lse.per_head()});
  return result;
}

// Copies tokens to the slots that the table gives them, in pages of any strides.
void write(hr::view<const float> rows, const hr::page_memory<float>& memory) {
  for (Index t = 0; t < rows.tokens(); ++t)
    for (Index g = 0; g < rows.heads(); ++g)
      std::copy_n(rows.row(t, g), rows.dim(),
                  const_cast<float*>(memory.row(table[static_cast<std::size_t>(t / 4)], g, t % 4)));
}

template <class Exception = std::invalid_argument>
std::string refusal(const hr::page_sizes& these, std::span<const hr::page_id> pages, Index tokens) {
  const std::vector<float> memory(1000);
  const auto rows = hr::heads_major_pages(memory.data(), 2, 4, 8);
  return refusal_of<Exception>([&] { hr::paged_view<float>(rows, rows, these, pages, tokens); });
}

}  // namespace

TEST_CASE("pages in either order, and with gaps, are read through the table") {
  const problem<> p(size);
  const auto expected = attend(p, hr::causal{});
  std::vector<float> k(9 * 100, quiet_nan<float>()), v(9 * 100, quiet_nan<float>());
  const auto check = [&](const hr::page_memory<float>& keys, const hr::page_memory<float>& values) {
    write(p.keys(), keys);
    write(p.values(), values);
    const hr::paged_view<float> source(keys, values, sizes, table, size.kv_len);
    const auto run = source.keys(1, 6, 23);
    CHECK(run.rows == keys.row(2, 1, 2));
    CHECK((run.stride == keys.token_stride && run.tokens == 2));
    CHECK(source.values(0, 20, 22).tokens == 2);
    CHECK(error_ratio(attend_to(p, source), p.exact(hr::causal{})) <= 1);
  };
  SECTION("[pages, KV_groups, page_tokens, dim]") {
    check(hr::heads_major_pages(k.data(), 2, 4, 8), hr::heads_major_pages(v.data(), 2, 4, 5));
  }
  SECTION("[pages, page_tokens, KV_groups, dim]") {
    check(hr::tokens_major_pages(k.data(), 2, 4, 8), hr::tokens_major_pages(v.data(), 2, 4, 5));
  }
  SECTION("one of each") {
    check(hr::tokens_major_pages(k.data(), 2, 4, 8), hr::heads_major_pages(v.data(), 2, 4, 5));
  }
  SECTION("with gaps") {
    check({k.data(), 99, 42, 10}, {v.data(), 87, 6, 20});
  }
}

TEST_CASE("a pool's memory and a sequence's table make a view that is the sequence") {
  const problem<> p(size);
  hr::page_pool<Eigen::half, 2, 8, 5, hr::int8_rows> pool(8, 4);
  poison(pool);
  hr::paged_cache sequence(pool);
  sequence.append(p.keys(), p.values());
  const hr::paged_view<Eigen::half, hr::int8_rows> same(
      pool.key_pages(), pool.value_pages(),
      {.pages = 8, .page_tokens = 4, .KV_groups = 2, .qk_dim = 8, .v_dim = 5},
      sequence.block_table(), sequence.tokens());
  CHECK(same_bits(attend_to(p, same), attend_to(p, sequence)));
}

TEST_CASE("latents are pages whose values are the keys' memory") {
  const problem<> p({0, 10, 1, 1, 8, 8}), q({2, 0, 3, 1, 12, 1});
  const problem<> rope({0, 10, 1, 1, 4, 4});
  hr::latent_page_pool<float, 8, 4> pool(4, 3);
  hr::paged_latents sequence(pool);
  sequence.append(p.keys(), rope.keys());
  const auto rows = pool.latent_pages();
  const hr::paged_view<float> same(
      rows, rows, {.pages = 4, .page_tokens = 3, .KV_groups = 1, .qk_dim = 12, .v_dim = 8},
      sequence.block_table(), 10);
  tensor<float> one(2, 3, 8), other(2, 3, 8);
  const any_attention heads(3, 1, 12, 8);
  heads(q.queries(), sequence, one.view());
  heads(q.queries(), same, other.view());
  CHECK(same_bits<float>(one.view(), other.view()));
}

TEST_CASE("what does not fit is refused with the number that is wrong") {
  const std::vector<hr::page_id> negative = {7, -1, 0}, beyond = {7, 2, 9};
  CHECK(refusal(sizes, table, 25) ==
        "paged_view: the block table lists 6 pages, expected at least 7 for 25 tokens in pages of "
        "4");
  CHECK(refusal(sizes, negative, 5) ==
        "paged_view: the block table lists page -1 at 1, expected 0 to pages - 1 = 8");
  CHECK(refusal(sizes, beyond, 9) ==
        "paged_view: the block table lists page 9 at 2, expected 0 to pages - 1 = 8");
  CHECK(refusal(sizes, table, -1) == "paged_view: tokens = -1, expected at least 0");
  auto these = sizes;
  these.page_tokens = 0;
  CHECK(refusal(these, table, 1) == "paged_view: page_tokens = 0, expected at least 1");
  these = sizes;
  these.pages = -1;
  CHECK(refusal(these, table, 1) == "paged_view: pages = -1, expected at least 0");
  these = sizes;
  these.KV_groups = 0;
  CHECK(refusal(these, table, 1) == "paged_view: KV_groups = 0, expected at least 1");
  these = sizes;
  these.qk_dim = 0;
  CHECK(refusal(these, table, 1) == "paged_view: qk_dim = 0, expected at least 1");
  these = sizes;
  these.v_dim = 0;
  CHECK(refusal(these, table, 1) == "paged_view: v_dim = 0, expected at least 1");
  CHECK(refusal(sizes, table, std::numeric_limits<Index>::max()).starts_with("paged_view: the"));
}

TEST_CASE("a page of another pool that this one does not have is refused") {
  const problem<> p({0, 10, 1, 1, 2, 2});
  hr::page_pool<float, 1, 2> pool(4, 2), other(8, 2);
  hr::paged_cache sequence(other);
  sequence.append(p.keys(), p.values());
  CHECK_THROWS_WITH((hr::paged_view<float>(pool.key_pages(), pool.value_pages(), {4, 2, 1, 2, 2},
                                           sequence.block_table(), 10)),
                    "paged_view: the block table lists page 4 at 4, expected 0 to pages - 1 = 3");
}

TEST_CASE("what lies behind the last token's page is not looked at") {
  const std::vector<hr::page_id> invalid_later = {7, 2, -1, 100};
  CHECK(refusal(sizes, invalid_later, 8) == "nothing was thrown");
  CHECK(refusal(sizes, {}, 0) == "nothing was thrown");
}
