// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "demo.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <headroom/convert.hpp>
#include <iterator>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "evaluation.hpp"
#include "fewer_heads.hpp"
#include "generation.hpp"
#include "json_file.hpp"
#include "report.hpp"
#include "tokenizer.hpp"

namespace generate {

namespace {

/// A model of the demo, measured.
struct result {
  std::string name;
  text_score score;
  double recorded_bits;  // of results.json
  golden_difference logits;
  Index parameters;
  footprint attention;
  double decode_speed = 0;  // tokens per second

  /// Logits that are off by d move a token's -log2 p by 2 d / ln 2 at most, and results.json has
  /// five decimals.
  bool bits_agree() const {
    return std::abs(score.bits_per_token - recorded_bits) <=
           0.5e-5 + 2 * logits.greatest / std::numbers::ln2;
  }
};

class demo {
 public:
  explicit demo(const demo_options& options)
      : options_(options),
        records_(json_object::read(options.models / "results.json")),
        window_(records_.size("context", 2)),
        heldout_(read_text(options.models / "heldout.txt")) {}

  bool run() {
    std::printf("The same prompt, four attentions:\n\n");
    print_wrapped(options_.prompt, "    > ", 76);
    std::printf("\n");
    for (const char* name : {"mha", "gqa", "mqa", "mla"}) variants_.push_back(run_variant(name));
    print_variants();
    run_stored();
    run_conversions();
    std::printf("%s\n", failures_.empty() ? "\nEvery number agrees with PyTorch's and with "
                                            "headroom's cost model."
                                          : "\nNot as it should be:");
    for (const std::string& failure : failures_) std::printf("  %s\n", failure.c_str());
    return failures_.empty();
  }

 private:
  std::vector<Index> read_text(const std::filesystem::path& path) const {
    std::ifstream file(path, std::ios::binary);
    if (!file) fail(path.string(), ": cannot be opened");
    std::vector<Index> ids;
    for (std::istreambuf_iterator<char> byte(file), end; byte != end; ++byte)
      ids.push_back(static_cast<unsigned char>(*byte));
    return ids;
  }

  language_model open(const model_config& config, const checkpoint& weights, Index tokens) const {
    return {config, weights, {options_.kv_dtype, tokens, options_.executor}};
  }

  void expect(bool holds, const std::string& otherwise) {
    if (!holds) failures_.push_back(otherwise);
  }

  /// Scores the held-out text, and looks up what PyTorch scored.
  text_score score(language_model& model, const std::string& name) const {
    progress shown(name + ": held-out text");
    return score_text(model, heldout_, window_, shown);
  }

  /// What attention takes, checked.
  footprint sizes(language_model& model, const std::string& name) {
    model.truncate(0);
    model.logits(std::span(heldout_).first(1));  // a cache that holds something can be measured
    const footprint measured = model.measured_attention();
    expect(measured == model.predicted_attention(),
           name + ": attention or its cache is not of the size that cost.hpp gives");
    return measured;
  }

  /// Score, logits and sizes of a model directory.
  result measure(language_model& model, const std::string& name,
                 const std::filesystem::path& path) {
    const json_object record = records_.object("models").object(name);
    result r{.name = name,
             .score = score(model, name),
             .recorded_bits = record.get<double>("bits_per_byte"),
             .logits = compare_with_golden(model, path, options_.kv_dtype),
             .parameters = model.parameters(),
             .attention = {}};
    r.attention = sizes(model, name);
    expect(r.logits.agrees(), name + ": logits differ from PyTorch's by " +
                                  formatted("%.2g", r.logits.greatest) + ", allowed are " +
                                  formatted("%.2g", r.logits.bound));
    expect(r.bits_agree(), name + ": bits per byte are " +
                               formatted("%.5f", r.score.bits_per_token) + ", PyTorch found " +
                               formatted("%.5f", r.recorded_bits));
    expect(r.parameters == record.size("parameters"),
           name + ": results.json has another number of parameters");
    return r;
  }

  result run_variant(const std::string& name) {
    const std::filesystem::path path = options_.models / name;
    const model_config config = read_config(path);
    const checkpoint weights(path);
    const auto text = open_tokenizer(path, config);
    if (!text) fail(path.string(), ": the demo needs a model of bytes");
    const std::vector<Index> prompt = text->encode(options_.prompt);
    language_model model = open(
        config, weights, std::max(static_cast<Index>(prompt.size()) + options_.tokens, window_));

    print_heading(name, config);
    sampler pick(options_.temperature, options_.seed);
    const continuation written = [&] {
      progress shown(name + ": continuation");
      return continue_prompt(model, prompt, options_.tokens, pick, [&](std::span<const Index> ids) {
        shown.update(static_cast<double>(ids.size()) / static_cast<double>(options_.tokens));
      });
    }();
    print_wrapped(text->decode(written.ids), "    ", 76);
    std::printf("\n");
    std::fflush(stdout);

    result r = measure(model, name, path);
    r.decode_speed = written.decode_speed();
    return r;
  }

  static void print_heading(const std::string& name, const model_config& c) {
    if (c.latent)
      std::printf("%s: %td query heads over a latent of %td and a rotary key of %td\n",
                  name.c_str(), c.heads, c.latent->rank, c.latent->rope);
    else
      std::printf("%s: %td query heads, %td key/value %s\n", name.c_str(), c.heads, c.kv_heads,
                  c.kv_heads == 1 ? "head" : "heads");
  }

  /// A row with a cell for each result.
  template <class Cell>
  static void print_results(const std::string& label, const std::vector<result>& results,
                            const Cell& cell) {
    std::vector<std::string> cells;
    for (const result& r : results) cells.push_back(cell(r));
    print_row(label, cells);
  }

  void print_variants() const {
    const auto row = [&](const char* label, const auto& cell) {
      print_results(label, variants_, cell);
    };
    row("", [](const result& r) { return r.name; });
    row("held-out bits per byte",
        [](const result& r) { return formatted("%.4f", r.score.bits_per_token); });
    row("  the same by PyTorch",
        [](const result& r) { return formatted("%.4f", r.recorded_bits); });
    row("parameters", [](const result& r) { return grouped(r.parameters); });
    row("  of which attention", [](const result& r) { return grouped(r.attention.parameters); });
    row("KV-cache bytes per token",
        [](const result& r) { return grouped(r.attention.cache_bytes_per_token); });
    row("prefill, tokens per second",
        [](const result& r) { return formatted("%.0f", r.score.tokens_per_second); });
    row("decode, tokens per second",
        [](const result& r) { return formatted("%.0f", r.decode_speed); });
    row("logits: greatest difference",
        [](const result& r) { return formatted("%.1e", r.logits.greatest); });
    row("  that rounding may cause",
        [](const result& r) { return formatted("%.1e", r.logits.bound); });
  }

  /// The variants again, with caches that store other numbers.
  void run_stored() {
    std::printf(
        "\nHeld-out bits per byte and KV-cache bytes per token, where the cache stores keys and\n"
        "values, or latents beside rotary keys in 16 bits, as:\n\n");
    print_results("", variants_, [](const result& r) { return r.name; });
    for (const auto& [label, dtype] :
         {std::pair{"float", "F32"}, {"half", "F16"}, {"bfloat16", "BF16"}})
      print_stored(label, dtype, true);
    for (const cache_codec& codec : cache_codecs)
      print_stored(codec.name, codec.name, codec.of_latents);
  }

  void print_stored(const std::string& label, const std::string& dtype, bool of_latents) {
    std::vector<std::string> bits, bytes;
    for (const result& variant : variants_) {
      const std::filesystem::path path = options_.models / variant.name;
      const model_config config = read_config(path);
      if (config.latent && !of_latents) {
        bits.push_back("-");
        bytes.push_back("-");
        continue;
      }
      const std::string name = variant.name + ", " + label;
      language_model model(config, checkpoint(path), {dtype, window_, options_.executor});
      bits.push_back(formatted("%.4f", score(model, name).bits_per_token));
      bytes.push_back(grouped(sizes(model, name).cache_bytes_per_token));
    }
    print_row(label, bits);
    print_row("  bytes per token", bytes);
  }

  using head_lists = std::vector<std::vector<Index>>;

  static head_lists first_heads(const model_config& mha, Index groups) {
    return head_lists(static_cast<std::size_t>(mha.layers),
                      headroom::first_heads(mha.kv_heads, groups));
  }

  /// The heads that train.py drew.
  head_lists drawn_heads() const {
    const json_object file =
        json_object::read(options_.models / "gqa_uptrained_random" / "config.json");
    const std::string key = "headroom_kv_head_selection";
    try {
      return file.value().at(key).get<head_lists>();
    } catch (const nlohmann::json::exception&) {
      fail(file.where(), ": ", key, " is no list of heads for each layer");
    }
  }

  /// The GQA paper's comparison: key and value heads of the multi-head model merged in three ways,
  /// before and after training goes on for a little.
  void run_conversions() {
    const std::filesystem::path path = options_.models / "mha";
    const model_config mha = read_config(path);
    const checkpoint weights(path);
    const Index groups = read_config(options_.models / "gqa").kv_heads;
    const struct {
      std::string method;
      converted_model model;
    } conversions[] = {{"mean", pool_heads(mha, weights, groups)},
                       {"first", keep_heads(mha, weights, first_heads(mha, groups))},
                       {"random", keep_heads(mha, weights, drawn_heads())}};
    std::vector<result> converted, uptrained;
    for (const auto& [method, made] : conversions) {
      converted.push_back(measure_converted(made, method));
      const std::filesystem::path trained = options_.models / ("gqa_uptrained_" + method);
      language_model model = open(read_config(trained), checkpoint(trained), window_);
      uptrained.push_back(measure(model, trained.filename().string(), trained));
    }
    print_conversions(mha, groups, converted, uptrained);
  }

  result measure_converted(const converted_model& made, const std::string& method) {
    language_model model = open(made.config, made.weights, window_);
    result r{.name = method,
             .score = score(model, method),
             .recorded_bits = records_.object("converted_without_uptraining")
                                  .object(method)
                                  .get<double>("bits_per_byte"),
             .logits = variants_.front().logits,  // of the model that it was made from
             .parameters = model.parameters(),
             .attention = {}};
    expect(r.bits_agree(), method + ": bits per byte are " +
                               formatted("%.5f", r.score.bits_per_token) + ", PyTorch found " +
                               formatted("%.5f", r.recorded_bits));
    return r;
  }

  void print_conversions(const model_config& mha, Index groups,
                         const std::vector<result>& converted,
                         const std::vector<result>& uptrained) const {
    std::printf(
        "\nFrom %td key/value heads to %td, each group's heads merged (bits per byte; mha "
        "has %.4f, gqa %.4f):\n\n",
        mha.kv_heads, groups, variants_[0].score.bits_per_token, variants_[1].score.bits_per_token);
    const auto score = [](const result& r) { return formatted("%.4f", r.score.bits_per_token); };
    const auto recorded = [](const result& r) { return formatted("%.4f", r.recorded_bits); };
    print_results("", converted, [](const result& r) { return r.name; });
    print_results("converted", converted, score);
    print_results("  the same by PyTorch", converted, recorded);
    const json_object models = records_.object("models");
    print_results("then trained " + grouped(models.object("gqa_uptrained_mean").size("steps")) +
                      " steps (mha: " + grouped(models.object("mha").size("steps")) + ")",
                  uptrained, score);
    print_results("  the same by PyTorch", uptrained, recorded);
  }

  demo_options options_;
  json_object records_;
  Index window_;
  std::vector<Index> heldout_;
  std::vector<result> variants_;
  std::vector<std::string> failures_;
};

}  // namespace

bool run_demo(const demo_options& options) {
  if (!std::filesystem::is_directory(options.models))
    fail(options.models.string(), ": no such directory");
  return demo(options).run();
}

}  // namespace generate
