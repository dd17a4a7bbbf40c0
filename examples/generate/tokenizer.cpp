// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "tokenizer.hpp"

#ifdef GENERATE_SENTENCEPIECE
#include <sentencepiece_processor.h>

#include "json_file.hpp"
#endif

namespace generate {

namespace {

/// A token is a byte.
class byte_tokenizer : public tokenizer {
 public:
  std::vector<Index> encode(const std::string& text) const override {
    std::vector<Index> ids;
    for (const char byte : text) ids.push_back(static_cast<unsigned char>(byte));
    return ids;
  }
  std::string decode(std::span<const Index> ids) const override {
    std::string text;
    for (const Index id : ids) text += static_cast<char>(id);
    return text;
  }
};

#ifdef GENERATE_SENTENCEPIECE
/// The tokenizer of Llama 1 and 2, Mistral 7B and their kin. A prompt starts with the
/// beginning-of-sequence token unless tokenizer_config.json says otherwise.
class sentencepiece_tokenizer : public tokenizer {
 public:
  sentencepiece_tokenizer(const std::filesystem::path& directory, const model_config& config) {
    const std::filesystem::path model = directory / "tokenizer.model";
    if (const auto status = processor_.Load(model.string()); !status.ok())
      fail(model.string(), ": ", status.ToString());
    if (processor_.GetPieceSize() > config.vocabulary)
      fail(model.string(), ": ", processor_.GetPieceSize(),
           " pieces, expected at most vocab_size = ", config.vocabulary);
    const std::filesystem::path settings = directory / "tokenizer_config.json";
    starts_ =
        processor_.bos_id() >= 0 && (!std::filesystem::exists(settings) ||
                                     json_object::read(settings).get_or("add_bos_token", true));
  }

  std::vector<Index> encode(const std::string& text) const override {
    std::vector<int> pieces;
    if (const auto status = processor_.Encode(text, &pieces); !status.ok())
      fail("tokenizer.model: ", status.ToString());
    std::vector<Index> ids(pieces.begin(), pieces.end());
    if (starts_) ids.insert(ids.begin(), processor_.bos_id());
    return ids;
  }

  std::string decode(std::span<const Index> ids) const override {
    std::vector<int> pieces;
    for (const Index id : ids)
      if (id < processor_.GetPieceSize()) pieces.push_back(static_cast<int>(id));
    std::string text;
    if (const auto status = processor_.Decode(pieces, &text); !status.ok())
      fail("tokenizer.model: ", status.ToString());
    return text;
  }

 private:
  sentencepiece::SentencePieceProcessor processor_;
  bool starts_;
};
#endif

}  // namespace

std::unique_ptr<const tokenizer> open_tokenizer(const std::filesystem::path& directory,
                                                [[maybe_unused]] const model_config& config) {
  const bool has_file = std::filesystem::exists(directory / "tokenizer.model");
#ifdef GENERATE_SENTENCEPIECE
  if (has_file) return std::make_unique<sentencepiece_tokenizer>(directory, config);
#endif
  if (!has_file && config.vocabulary == 256) return std::make_unique<byte_tokenizer>();
  return nullptr;
}

}  // namespace generate
