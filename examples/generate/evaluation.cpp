// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "safetensors.hpp"

namespace generate {

namespace {

/// -log2 of the softmax of `logits` at `id`.
double bits(const Eigen::Ref<const Eigen::RowVectorXf>& logits, Index id) {
  const Eigen::ArrayXd nats = logits.transpose().cast<double>().array();
  const double top = nats.maxCoeff();
  return (top + std::log((nats - top).exp().sum()) - nats[id]) / std::numbers::ln2;
}

/// |logits - exact| that rounding alone may cause. A sum of n products in floats is off by up to
/// n * 2^-24 of its terms' size. The sums that one logit passes through on its way are added up,
/// times two since PyTorch rounds as well, and are taken relative to the largest logit. A cache in
/// 16 bits rounds each number of a key and of a value once more.
double logit_error_bound(const model_config& c, Index tokens, const std::string& kv_dtype,
                         double largest_logit) {
  const Index latent = c.latent ? c.latent->rank + c.latent->query_rank : 0;
  const Index attention =
      c.hidden + latent + c.head_dim + tokens + c.heads * (c.latent ? c.latent->value : c.head_dim);
  const Index mlp = c.hidden + c.mlp_width + (c.experts ? c.experts->experts : 0);
  const auto terms = static_cast<double>(c.layers * (attention + mlp) + c.hidden);
  const double cache_unit = kv_dtype == "F16" ? 0x1p-11 : kv_dtype == "BF16" ? 0x1p-8 : 0;
  const auto cached = static_cast<double>(c.layers * (c.head_dim + 1));
  return (2 * terms * 0x1p-24 + cached * cache_unit) * largest_logit;
}

/// The golden prompt, as ids of the model's vocabulary.
std::vector<Index> read_prompt(const tensor& ids, Index vocabulary, const std::string& where) {
  if (ids.dtype != "I64" || ids.shape.size() != 1 || ids.numbers() == 0)
    fail(where, ": input_ids are ", ids.dtype, " ", text(ids.shape), ", expected I64 [tokens]");
  const std::int64_t* const first = ids.as<std::int64_t>();
  std::vector<Index> prompt(first, first + ids.numbers());
  for (const Index id : prompt)
    if (id < 0 || id >= vocabulary)
      fail(where, ": input_ids contain ", id, ", expected [0, ", vocabulary, ")");
  return prompt;
}

}  // namespace

text_score score_text(language_model& model, std::span<const Index> text, Index window,
                      progress& shown) {
  const auto size = static_cast<std::size_t>(window);
  double sum = 0, seconds = 0;
  Index predicted = 0;
  for (std::size_t begin = 0; begin + size <= text.size(); begin += size) {
    const std::span<const Index> ids = text.subspan(begin, size);
    model.truncate(0);
    const stopwatch reading;
    const Matrix logits = model.logits(ids.first(size - 1));
    seconds += reading.seconds();
    for (Index t = 0; t < logits.rows(); ++t)
      sum += bits(logits.row(t), ids[static_cast<std::size_t>(t) + 1]);
    predicted += logits.rows();
    shown.update(static_cast<double>(begin + size) / static_cast<double>(text.size()));
  }
  if (predicted == 0) fail("the text is shorter than a window of ", window, " tokens");
  model.truncate(0);
  return {sum / static_cast<double>(predicted), static_cast<double>(predicted) / seconds};
}

golden_difference compare_with_golden(language_model& model, const std::filesystem::path& directory,
                                      const std::string& kv_dtype) {
  const std::filesystem::path path = directory / "golden.safetensors";
  const safetensors_file file(path);
  const auto find = [&](const char* name) -> const tensor& {
    const auto found = file.tensors().find(name);
    if (found == file.tensors().end()) fail(path.string(), ": tensor ", name, " is missing");
    return found->second;
  };
  const Index vocabulary = model.config().vocabulary;
  const std::vector<Index> prompt = read_prompt(find("input_ids"), vocabulary, path.string());
  const auto tokens = static_cast<Index>(prompt.size());
  const tensor& stored = find("logits");
  if (stored.dtype != "F32" || stored.shape != std::vector<Index>{tokens, vocabulary})
    fail(path.string(), ": logits are ", stored.dtype, " ", text(stored.shape), ", expected F32 ",
         text({tokens, vocabulary}));
  const Eigen::Map<const Matrix> golden(stored.as<float>(), tokens, vocabulary);

  model.truncate(0);
  const Matrix at_once = model.logits(prompt);
  model.truncate(0);
  Matrix one_by_one(tokens, vocabulary);
  for (Index t = 0; t < tokens; ++t)
    one_by_one.row(t) =
        model.next_logits(std::span(prompt).subspan(static_cast<std::size_t>(t), 1));
  model.truncate(0);
  Matrix differences(2 * tokens, vocabulary);
  differences << at_once - golden, one_by_one - golden;
  // A NaN must not hide behind a maximum.
  const double greatest = differences.array().abs().maxCoeff<Eigen::PropagateNaN>();
  return {greatest,
          logit_error_bound(model.config(), tokens, kv_dtype, golden.array().abs().maxCoeff())};
}

}  // namespace generate
