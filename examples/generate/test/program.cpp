// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: the program exits with 0 if all went well, with 1 if the demo's numbers are wrong, and with
// 2 and a message if it cannot do what it was asked to.
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "model_files.hpp"
#include "support/catch.hpp"

using headroom_tests::contains;
using namespace generate_tests;

namespace {

struct outcome {
  int status;
  std::string output, errors;
};

outcome run(const std::string& arguments) {
  const scratch_directory directory;
  const auto quoted = [](const fs::path& path) { return "'" + path.string() + "'"; };
  const int code = std::system((quoted(GENERATE_PROGRAM) + " " + arguments + " > " +
                                quoted(directory / "out") + " 2> " + quoted(directory / "err"))
                                   .c_str());
  REQUIRE(WIFEXITED(code));
  return {WEXITSTATUS(code), read(directory / "out"), read(directory / "err")};
}

std::string model(const std::string& name) {
  return "--model '" + (tinylm / name).string() + "' ";
}

void require_refused(const std::string& arguments, const std::string& message) {
  const outcome result = run(arguments);
  CAPTURE(arguments, result.output, result.errors);
  REQUIRE(result.status == 2);
  REQUIRE(result.output.empty());
  REQUIRE_THAT(result.errors, contains(message));
}

}  // namespace

TEST_CASE("A prompt in words or ids is continued") {
  const outcome ids = run(model("llama3") + "--ids 1,2,3 --tokens 4 --temperature 0");
  REQUIRE(ids.status == 0);
  REQUIRE(std::count(ids.output.begin(), ids.output.end(), ',') == 3);
  const outcome text = run(model("mla") + "--prompt 'And the' --tokens 9 --kv-dtype half");
  REQUIRE(text.status == 0);
  REQUIRE(text.output.size() == 10);
  REQUIRE_THAT(text.errors, contains("written: 9 tokens"));
}

TEST_CASE("Threads change nothing but the time, where there are any") {
  const std::string arguments = model("llama3") + "--ids 1,2,3 --tokens 4";
#ifdef _OPENMP
  const outcome two = run(arguments + " --threads 2");
  REQUIRE(two.status == 0);
  REQUIRE(two.output == run(arguments).output);
#else
  require_refused(arguments + " --threads 2", "compiled without OpenMP");
#endif
}

TEST_CASE("What is missing or contradictory is said on stderr") {
  require_refused("--model nowhere --ids 1", "generate: nowhere: no such directory");
  require_refused("--models nowhere", "generate: nowhere: no such directory");
  require_refused(model("llama3") + "--prompt x", "give --ids instead of --prompt");
  require_refused(model("llama3"), "--model needs a --prompt or --ids");
  require_refused(model("llama3") + "--ids 1,99", "token id 99, expected [0, 64)");
  require_refused(model("llama3") + "--ids 1 --kv-dtype int3", "--kv-dtype");
  require_refused(model("llama3") + "--ids 1 --tokens 0", "--tokens");
  require_refused("--ids 1", "--model");
}

TEST_CASE("The demo passes on the models that are committed") {
  const outcome result = run("--tokens 20");
  CAPTURE(result.output, result.errors);
  REQUIRE(result.status == 0);
  REQUIRE_THAT(result.output, contains("Every number agrees"));
  REQUIRE_THAT(result.output, contains("int4, rotated"));
}

TEST_CASE("The demo fails if a model's logits are not PyTorch's") {
  const scratch_directory directory;
  fs::copy(tinylm, directory.path(), fs::copy_options::recursive);
  edit_json(directory / "mqa/config.json",
            [](nlohmann::json& config) { config["rope_theta"] = 20000.0; });
  fs::resize_file(directory / "heldout.txt", 512);  // other numbers are wrong then, but it is quick
  const outcome result = run("--tokens 2 --models '" + directory.path().string() + "'");
  CAPTURE(result.output, result.errors);
  REQUIRE(result.status == 1);
  REQUIRE_THAT(result.output, contains("mqa: logits differ from PyTorch's by"));
  REQUIRE_THAT(result.output, !contains("mha: logits differ"));
}
