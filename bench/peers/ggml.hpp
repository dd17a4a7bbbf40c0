// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/inputs.hpp"

#include <dlfcn.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <filesystem>
#include <limits>
#include <memory>
#include <stdexcept>
#include <type_traits>

namespace headroom_bench {

/// The CPU backend of ggml, on one thread. Where it is a library of its own, the one that is best
/// for this CPU is loaded from where ggml looks for it, or else from beside ggml itself.
inline ggml_backend_t ggml_cpu() {
  constexpr auto cpu = GGML_BACKEND_DEVICE_TYPE_CPU;
  if (!ggml_backend_dev_by_type(cpu)) ggml_backend_load_all();
  Dl_info ggml_library{};
  if (!ggml_backend_dev_by_type(cpu) &&
      dladdr(reinterpret_cast<void*>(&ggml_backend_load_all), &ggml_library)) {
    const std::filesystem::path path = ggml_library.dli_fname;
    ggml_backend_load_all_from_path(path.parent_path().c_str());
  }
  const ggml_backend_dev_t device = ggml_backend_dev_by_type(cpu);
  if (!device) throw std::runtime_error("ggml finds no backend for the CPU");
  const ggml_backend_t backend = ggml_backend_dev_init(device, nullptr);
  const auto set_threads =
      reinterpret_cast<ggml_backend_set_n_threads_t>(ggml_backend_reg_get_proc_address(
          ggml_backend_dev_backend_reg(device), "ggml_backend_set_n_threads"));
  if (set_threads) set_threads(backend, 1);
  return backend;
}

/// ggml_flash_attn_ext over the keys and values where they lie.
template <class Inputs>
class ggml {
 public:
  using inputs = Inputs;
  static constexpr const char* name = "ggml";
  static constexpr bool appends = false;

  explicit ggml(const inputs& in)
      : backend_(ggml_cpu()),
        // Tensors and graph without their numbers, which are ours.
        context_(ggml_init({std::size_t(1) << 20, nullptr, true})),
        graph_(ggml_new_graph(context_.get())),
        mask_(causal_mask(in.q.rows(), in.key_view().tokens())),
        out_(in.q.rows(), inputs::Q_heads * inputs::v_dim) {
    ggml_tensor* const result = ggml_flash_attn_ext(
        context_.get(), tensor(headroom::as_view(in.q, inputs::Q_heads)), tensor(in.key_view()),
        tensor(in.value_view()), mask_tensor(), static_cast<float>(in.scale()), 0, 0);
    result->data = out_.data();
    ggml_build_forward_expand(graph_, result);
  }

  void run() {
    if (ggml_backend_graph_compute(backend_.get(), graph_) != GGML_STATUS_SUCCESS)
      throw std::runtime_error("ggml did not compute");
  }

  const matrix& answer() const { return out_; }

 private:
  template <auto release>
  struct releaser {
    void operator()(auto* object) const { release(object); }
  };

  // [q_len, kv_len]: 0 where a key is seen. A decode step sees every key and needs none.
  static row_major<Eigen::half> causal_mask(Index q_len, Index kv_len) {
    if (q_len == 1) return {};
    const Eigen::half hidden(-std::numeric_limits<float>::infinity());
    row_major<Eigen::half> mask(padded(q_len), kv_len);
    mask.setConstant(hidden);
    for (Index t = 0; t < q_len; ++t) mask.row(t).head(kv_len - q_len + 1 + t).setZero();
    return mask;
  }

  // Versions before 2026 demand rows in multiples of GGML_KQ_MASK_PAD.
  static Index padded(Index q_len) { return (q_len + 63) / 64 * 64; }

  ggml_tensor* mask_tensor() {
    if (mask_.size() == 0) return nullptr;
    ggml_tensor* const mask =
        ggml_new_tensor_2d(context_.get(), GGML_TYPE_F16, mask_.cols(), mask_.rows());
    mask->data = mask_.data();
    return mask;
  }

  // A view, from the innermost dimension outwards: [dim, tokens, heads].
  template <class Scalar>
  ggml_tensor* tensor(headroom::view<const Scalar> numbers) {
    constexpr ggml_type type = std::is_same_v<Scalar, float>         ? GGML_TYPE_F32
                               : std::is_same_v<Scalar, Eigen::half> ? GGML_TYPE_F16
                                                                     : GGML_TYPE_BF16;
    ggml_tensor* const result =
        ggml_new_tensor_3d(context_.get(), type, numbers.dim(), numbers.tokens(), numbers.heads());
    const auto bytes = [](Index count) { return static_cast<std::size_t>(count) * sizeof(Scalar); };
    result->nb[1] = bytes(numbers.token_stride());
    result->nb[2] = numbers.heads() > 1 ? bytes(numbers.head_stride())
                                        : bytes(numbers.tokens() * numbers.token_stride());
    result->nb[3] = result->nb[2] * static_cast<std::size_t>(numbers.heads());
    result->data = const_cast<Scalar*>(numbers.data());  // ggml only reads it
    return result;
  }

  std::unique_ptr<std::remove_pointer_t<ggml_backend_t>, releaser<ggml_backend_free>> backend_;
  std::unique_ptr<ggml_context, releaser<ggml_free>> context_;
  ggml_cgraph* graph_;  // the context's
  row_major<Eigen::half> mask_;
  matrix out_;
};

}  // namespace headroom_bench
