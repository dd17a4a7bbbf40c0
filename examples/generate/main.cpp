// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// generate: runs language models of the Llama and DeepSeek-V2 families from their checkpoint
// directories. Without arguments: the demo, four small models of one width with four attentions.
//
// To read it, from the bottom up: safetensors, checkpoint, weights (files to matrices); config;
// grouped_block, latent_block, coded_block (attention, where headroom comes in), mlp, experts;
// decoder; model; generation, evaluation, fewer_heads; demo.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "demo.hpp"
#include "generation.hpp"
#include "tokenizer.hpp"

namespace {

using generate::Index;

struct arguments {
  std::string models = HEADROOM_TINYLM_DIR;
  std::optional<std::string> model, prompt;
  std::vector<Index> ids;
  Index tokens = 180;
  double temperature = 0.5;
  std::uint64_t seed = 1;
  std::string kv_dtype = "F32";
  int threads = 1;
};

void declare(CLI::App& app, arguments& a) {
  auto* model = app.add_option("--model", a.model,
                               "a model directory: config.json and safetensors (and, for text, "
                               "tokenizer.model)");
  app.add_option("--models", a.models, "where the demo's models are")->excludes(model);
  auto* prompt = app.add_option("--prompt", a.prompt, "text to go on from");
  app.add_option("--ids", a.ids, "token ids to go on from, such as 1,15043,3186")
      ->delimiter(',')
      ->needs(model)
      ->excludes(prompt);
  app.add_option("--tokens", a.tokens, "how many to write at most")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--temperature", a.temperature, "0 writes the likeliest token always")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--seed", a.seed, "of the choice between likely tokens")->capture_default_str();
  app.add_option("--kv-dtype", a.kv_dtype, "what the cache stores: float, half or bfloat16")
      ->transform(CLI::CheckedTransformer(std::vector<std::pair<std::string, std::string>>{
          {"float", "F32"}, {"half", "F16"}, {"bfloat16", "BF16"}}));
  app.add_option("--threads", a.threads, "to compute with")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
}

/// Prints what has become definite of a text that grows at its end.
class text_printer {
 public:
  void operator()(const std::string& text) {
    // A character whose last bytes are still to come is decoded as U+FFFD.
    if (text.ends_with("\xEF\xBF\xBD") || text.size() <= printed_) return;
    std::fwrite(text.data() + printed_, 1, text.size() - printed_, stdout);
    std::fflush(stdout);
    printed_ = text.size();
  }

 private:
  std::size_t printed_ = 0;
};

std::vector<Index> read_prompt(const arguments& a, const generate::tokenizer* text) {
  if (!a.prompt) return a.ids;
  if (text == nullptr)
    generate::fail(*a.model,
                   ": no tokenizer that this program can read (tokenizer.model, with "
                   "SentencePiece compiled in): give --ids instead of --prompt");
  return text->encode(*a.prompt);
}

void run_model(const arguments& a) {
  const generate::model_config config = generate::read_config(*a.model);
  const auto text = generate::open_tokenizer(*a.model, config);
  const std::vector<Index> prompt = read_prompt(a, text.get());
  if (prompt.empty()) generate::fail("--model needs a --prompt or --ids that is not empty");
  const Index capacity = static_cast<Index>(prompt.size()) + a.tokens;
  if (capacity > config.context)
    std::fprintf(stderr, "generate: %td tokens are more than the %td that the model was made for\n",
                 capacity, config.context);
  generate::language_model model(config, generate::checkpoint(*a.model),
                                 {a.kv_dtype, capacity, generate::threads(a.threads)});

  generate::sampler pick(a.temperature, a.seed);
  text_printer print;
  const auto on_token = [&](std::span<const Index> ids) {
    if (text) return print(text->decode(ids));
    std::printf(ids.size() == 1 ? "%td" : ",%td", ids.back());
    std::fflush(stdout);
  };
  const generate::continuation written =
      generate::continue_prompt(model, prompt, a.tokens, pick, on_token);
  const generate::footprint cache = model.predicted_attention();
  std::printf("\n");
  std::fprintf(stderr,
               "\nprompt: %zu tokens, %.1f per second; written: %zu tokens, %.1f per second; "
               "cache: %td bytes per token, %td in all\n",
               prompt.size(), static_cast<double>(prompt.size()) / written.prefill_seconds,
               written.ids.size(), static_cast<double>(written.ids.size()) / written.decode_seconds,
               cache.cache_bytes_per_token, cache.cache_bytes);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Runs language models of the Llama and DeepSeek-V2 families. Without --model: the "
      "demo, four small models with four attentions.");
  arguments a;
  declare(app, a);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    if (a.model) {
      run_model(a);
      return 0;
    }
    const std::string prompt =
        a.prompt.value_or("And it came to pass in those days, that the king said unto them,");
    const bool passed = generate::run_demo({a.models, prompt, a.tokens, a.temperature, a.seed,
                                            a.kv_dtype, generate::threads(a.threads)});
    return passed ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "generate: %s\n", error.what());
    return 2;
  }
}
