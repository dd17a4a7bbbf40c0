// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// serve: many requests at once over one of the models of examples/tinylm, as an inference server
// runs them: continuous batching, pages in a pool, a system prompt that all share, prompts in
// chunks, preemption. A trace says what arrives when. It is served in several ways; each must write
// for every request the very text that is written for it alone, from the same logits.
//
// To read it, from the bottom up: workload, trace (what is asked for); piece, scheduler (who runs,
// in numbers); row_blocks, paged_block and its two kinds, paged_model (where headroom comes in);
// server, alone; figures, summary.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "alone.hpp"
#include "report.hpp"
#include "summary.hpp"
#include "trace.hpp"

namespace {

using namespace serve;

struct arguments {
  std::filesystem::path model = HEADROOM_TINYLM_DIR "/gqa";
  std::filesystem::path trace = SERVE_TRACE;
  std::size_t requests = 1 << 20;
  std::string kv_dtype = "F16";
  Index pool_kib = 896;
  Index page_tokens = 16;
  serve_options options;
  Index block_rows = 8;
  int threads = 1;
  std::optional<std::filesystem::path> json, plot;
};

void declare(CLI::App& app, arguments& a) {
  const CLI::Range positive(1, 1 << 20);
  app.add_option("--model", a.model, "a model directory whose tokens can be read");
  app.add_option("--trace", a.trace, "requests, as make_trace.py writes them");
  app.add_option("--requests", a.requests, "how many of them, from the first on")->check(positive);
  app.add_option("--kv-dtype", a.kv_dtype, "what pages store: float, half or bfloat16")
      ->transform(CLI::CheckedTransformer(std::vector<std::pair<std::string, std::string>>{
          {"float", "F32"}, {"half", "F16"}, {"bfloat16", "BF16"}}));
  app.add_option("--pool-kib", a.pool_kib, "of the pages of all layers")
      ->capture_default_str()
      ->check(positive);
  app.add_option("--page-tokens", a.page_tokens, "of a page")
      ->capture_default_str()
      ->check(positive);
  app.add_option("--chunk", a.options.chunk, "tokens of a prompt that are computed together")
      ->capture_default_str()
      ->check(positive);
  app.add_option("--running", a.options.running, "requests that run at once, at most")
      ->capture_default_str()
      ->check(positive);
  app.add_option("--rows", a.options.rows,
                 "tokens that a step computes, at most; room for a chunk and one for each request")
      ->capture_default_str()
      ->check(positive);
  app.add_option("--block-rows", a.block_rows, "rows of each matrix product, see row_blocks.hpp")
      ->capture_default_str()
      ->check(positive);
  app.add_option("--threads", a.threads, "to compute with")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  app.add_option("--json", a.json, "a file to write all figures to");
  app.add_option("--plot", a.plot,
                 "a picture to draw of them (.svg), by python3 with its matplotlib; the figures go "
                 "to FILE.json unless --json says otherwise");
}

/// A way to serve.
struct variant {
  std::string name, dtype;
  bool share, batch;
};

class comparison {
 public:
  explicit comparison(const arguments& a)
      : arguments_(a),
        config_(generate::read_config(a.model)),
        text_(generate::open_tokenizer(a.model, config_)),
        weights_(a.model),
        executor_(a.threads) {
    if (!text_) generate::fail(a.model.string(), ": no tokenizer that this program can read");
    load_ = read_trace(a.trace, *text_);
    load_.requests.resize(std::min(load_.requests.size(), a.requests));
    for (const request& r : load_.requests)
      longest_ = std::max(longest_, static_cast<Index>(load_.beginning(r).size()) + r.tokens);
  }

  bool run() {
    std::vector<variant> ways = {{"shared", arguments_.kv_dtype, true, true},
                                 {"unshared", arguments_.kv_dtype, false, true},
                                 {"unbatched", arguments_.kv_dtype, true, false}};
    if (stores_int8(config_)) ways.push_back({"int8", "I8", true, true});
    print_heading();
    std::vector<figures> all;
    for (const variant& way : ways) {
      all.push_back(serve_in(way));
      if (all.size() == 1) {
        print_samples(all.front());
        print_pool_use(all.front());
      }
    }
    std::printf("\n");
    print_table(all);
    write_files(all);
    const bool passed =
        std::all_of(all.begin(), all.end(), [](const figures& f) { return f.differing == 0; });
    std::printf(passed ? "\nEvery text, and every logit, is what it is for the request alone, to "
                         "the last bit.\n"
                       : "\nTexts or their logits differ from those that are written alone.\n");
    return passed;
  }

 private:
  paged_model open(const variant& way, Index pool_bytes) const {
    return {config_,
            weights_,
            {.dtype = way.dtype,
             .pool_bytes = pool_bytes,
             .page_tokens = arguments_.page_tokens,
             .block_rows = way.batch ? arguments_.block_rows : 0,
             .executor = executor_}};
  }

  figures serve_in(const variant& way) {
    paged_model model = open(way, arguments_.pool_kib * 1024);
    serve_options options = arguments_.options;
    options.share = way.share;
    options.batch = way.batch;
    figures f{.name = way.name,
              .served = {},
              .pool_bytes = model.pages() * model.page_bytes(),
              .page_bytes = model.page_bytes()};
    {
      generate::progress shown(way.name);
      f.served = server(model, load_, options).run([&](double part) { shown.update(part); });
    }
    const std::vector<text>& expected = texts_alone(way, model);
    for (std::size_t i = 0; i < expected.size(); ++i)
      f.differing += f.served.answers[i].written != expected[i];
    return f;
  }

  /// The same for those that differ in sharing alone. Unbatched ones compute what a model without
  /// pages does, and are compared with that.
  const std::vector<text>& texts_alone(const variant& way, paged_model& model) {
    const std::string key = way.dtype + (way.batch ? " batched" : "");
    if (key == alone_key_) return alone_;
    alone_key_ = key;
    alone_.clear();
    generate::progress shown(way.name + ": each request alone");
    const auto write_all = [&](auto& with) {
      for (const request& r : load_.requests) {
        alone_.push_back(write_alone(with, load_, r, arguments_.options.chunk));
        shown.update(static_cast<double>(alone_.size()) /
                     static_cast<double>(load_.requests.size()));
      }
    };
    if (way.batch) {
      write_all(model);
    } else {
      // Pages keep what has left a window; the bits are those of a cache that does.
      generate::language_model plain(
          config_, weights_,
          {.kv_dtype = way.dtype, .capacity = longest_, .executor = executor_, .rings = false});
      write_all(plain);
    }
    return alone_;
  }

  void print_heading() const {
    const serve_options& o = arguments_.options;
    std::printf(
        "%zu requests over %td steps, a system prompt of %zu tokens, temperature %.2g\n"
        "at most %td requests and %td tokens a step, prompts in chunks of %td, pages of %td\n\n",
        load_.requests.size(), load_.requests.back().arrival + 1, load_.system.size(),
        load_.temperature, o.running, o.rows, o.chunk, arguments_.page_tokens);
  }

  void print_samples(const figures& f) const {
    for (std::size_t i = 0; i < std::min<std::size_t>(3, load_.requests.size()); ++i) {
      generate::print_wrapped(text_->decode(load_.requests[i].prompt) + " ...", "  > ", 76);
      generate::print_wrapped("... " + text_->decode(f.served.answers[i].written.ids), "    ", 76);
    }
    std::printf("\n");
  }

  void write_files(const std::vector<figures>& all) const {
    auto json = arguments_.json;
    if (!json && arguments_.plot) json = arguments_.plot->string() + ".json";
    if (json) write_json(*json, all);
    if (arguments_.plot) draw(*json, *arguments_.plot);
  }

  const arguments& arguments_;
  generate::model_config config_;
  std::unique_ptr<const generate::tokenizer> text_;
  generate::checkpoint weights_;
  generate::threads executor_;
  workload load_;
  Index longest_ = 0;  // request, in tokens
  std::string alone_key_;
  std::vector<text> alone_;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Serves many requests at once, in several ways, and compares what that takes.");
  arguments a;
  declare(app, a);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    return comparison(a).run() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "serve: %s\n", error.what());
    return 2;
  }
}
