// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

// headroom: attention for CPU inference, on Eigen. This header includes all of it, part by part in
// the order in which it is best read; include only what you use where compile time matters.
//
// Words, the same everywhere:
//
//   Q_heads          query heads
//   KV_groups        key/value heads: Q_heads is multi-head, 1 is multi-query
//   heads_per_group  Q_heads / KV_groups, the query heads that share a key/value head
//   q_len, kv_len    numbers of queries and keys, in tokens
//   qk_dim, v_dim    widths of a query or key, and of a value, in numbers
//   t, j, h, g, d    index of a query, key, query head, group, channel
//   [begin, end)     every range
//   position         where a token stands among the keys
//   window           keys visible to a query, its own position included
//   page             a few tokens' place in a pool's memory, which sequences may share
//   block table      the pages of a sequence, in order
//   latent           what MLA caches of a token instead of its keys and values
//   scale            factor on q.k before the softmax
//   lse              log of the sum of exponentials of a row's scores, natural logarithm

// What is computed

#include <headroom/options.hpp>        // scale, softcap, sinks, lse
#include <headroom/reference.hpp>      // the definition, as plain loops
#include <headroom/softmax_state.hpp>  // the one idea: partial softmaxes that merge
#include <headroom/view.hpp>           // how data comes in: [tokens, heads, dim], any strides

// The call

#include <headroom/attention.hpp>       // MHA, GQA, MQA: the contract, the call
#include <headroom/attention_path.hpp>  // which kernel a call takes, and in how many parts
#include <headroom/parallel.hpp>        // who runs the work

// Masks: which keys a query sees

#include <headroom/attention_mask.hpp>  // what a mask is asked
#include <headroom/dense_mask.hpp>      // flags and biases in memory
#include <headroom/mask.hpp>            // formulas, composed with & and |
#include <headroom/score_mod.hpp>       // ALiBi, and masks and score modifications of one's own
#include <headroom/selected_mask.hpp>   // masks over some of the tokens
#include <headroom/tree_mask.hpp>       // drafts of several continuations, for speculation

// Where keys and values are kept

#include <headroom/context_shift.hpp>  // a full context goes on without its middle
#include <headroom/kept_tokens.hpp>    // what a call over a ring reads
#include <headroom/kv_cache.hpp>       // those of the tokens so far, in one piece
#include <headroom/kv_source.hpp>      // what a kernel asks of any of these
#include <headroom/page_pool.hpp>      // memory of many sequences, in pages
#include <headroom/page_stock.hpp>     // which pages are free, held and shared
#include <headroom/paged_cache.hpp>    // keys and values on pages, shared by forks
#include <headroom/paged_tokens.hpp>   // how a sequence on pages grows, forks and shrinks
#include <headroom/paged_view.hpp>     // pages of somebody else's, and a block table
#include <headroom/ring_cache.hpp>     // the last tokens of a context without end
#include <headroom/rotated_cache.hpp>  // outliers spread over all channels, for few bits
#include <headroom/scaled_cache.hpp>   // a scale for each channel of keys, for outliers too
#include <headroom/token_slice.hpp>    // some that follow one another, of any of these

// In how many bits

#include <headroom/codec.hpp>         // how stored rows become numbers
#include <headroom/fp8_codec.hpp>     // 8 bits a number, small floats
#include <headroom/int4_codec.hpp>    // 4 bits a number, scales and minima
#include <headroom/int8_codec.hpp>    // 8 bits a number, and scales
#include <headroom/joined_codec.hpp>  // two codecs in one row

// Many sequences, few of the keys, and what was looked at

#include <headroom/batch.hpp>           // sequences of different lengths in one call
#include <headroom/batch_sequence.hpp>  // one of them: what it reads and sees
#include <headroom/block_sparse.hpp>    // blocks of queries see lists of blocks of keys
#include <headroom/cascade.hpp>         // sequences that begin alike
#include <headroom/page_index.hpp>      // which pages of keys may matter to a query
#include <headroom/scores.hpp>          // what attention looks at, tile by tile
#include <headroom/token_sparse.hpp>    // each query sees a list of tokens

// Multi-head latent attention

#include <headroom/latent_cache.hpp>   // what it keeps of a token
#include <headroom/mla.hpp>            // the call, expanded and absorbed
#include <headroom/mla_batch.hpp>      // sequences of different lengths in one call
#include <headroom/mla_cascade.hpp>    // sequences that begin alike
#include <headroom/mla_scores.hpp>     // what it looks at, tile by tile
#include <headroom/mla_sparse.hpp>     // each query sees a list of tokens
#include <headroom/paged_latents.hpp>  // latents on pages, shared by forks

// Layers, from x to out

#include <headroom/cached_layer.hpp>     // how a layer is called: prefill, decode, batch, cross
#include <headroom/layer.hpp>            // a layer of MHA, GQA or MQA
#include <headroom/layer_sequence.hpp>   // one sequence of its batches
#include <headroom/linear.hpp>           // projections, in the layout of checkpoints
#include <headroom/mla_layer.hpp>        // a layer of MLA
#include <headroom/multi_axis_rope.hpp>  // the rotary embedding of images and films
#include <headroom/rms_norm.hpp>         // the norm of queries, keys and latents
#include <headroom/rope.hpp>             // the rotary embedding
#include <headroom/rope_scaling.hpp>     // frequencies of the rotary embedding
#include <headroom/rope_table.hpp>       // its sines and cosines, computed once

// Sizes and checkpoints

#include <headroom/convert.hpp>  // MHA checkpoints into GQA and MQA
#include <headroom/cost.hpp>     // parameters, flops and bytes, at compile time
