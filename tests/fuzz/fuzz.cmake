# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
#
# Each tests/fuzz/<name>.cpp reads bytes as a program of what it tests, or as a file. Ordinarily a test
# hands it the files of tests/fuzz/corpus/<name>; with HEADROOM_BUILD_FUZZERS libFuzzer starts from
# them, for a minute, and leaves what made it fail in the folder of the build.
set(fuzz_dir ${CMAKE_CURRENT_LIST_DIR})

if(NOT HEADROOM_BUILD_FUZZERS)
  add_library(fuzz_run_corpus OBJECT ${fuzz_dir}/run_corpus.cpp)
  target_include_directories(fuzz_run_corpus PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(fuzz_run_corpus PRIVATE headroom_own)
endif()

function(headroom_add_fuzz_target name)
  set(target fuzz_${name})
  add_executable(${target} ${fuzz_dir}/${name}.cpp)
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${target} PRIVATE headroom_own ${ARGN})
  target_compile_options(${target} PRIVATE -UNDEBUG)
  set(corpus ${fuzz_dir}/corpus/${name})
  if(HEADROOM_BUILD_FUZZERS)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    set(found ${CMAKE_CURRENT_BINARY_DIR}/corpus/${name})  # inputs that reach new code, from run to run
    file(MAKE_DIRECTORY ${found})
    set(words "")
    if(EXISTS ${fuzz_dir}/${name}.dict)
      set(words -dict=${fuzz_dir}/${name}.dict)
    endif()
    add_test(NAME fuzz/${name}
      COMMAND ${target} -max_total_time=60 -max_len=2048 -timeout=10 -malloc_limit_mb=2 -rss_limit_mb=4096
              ${words} ${found} ${corpus})
  else()
    target_link_libraries(${target} PRIVATE fuzz_run_corpus)
    add_test(NAME fuzz/${name} COMMAND ${target} ${corpus})
  endif()
endfunction()

headroom_add_fuzz_target(page_tables)
if(HEADROOM_BUILD_EXAMPLES)
  headroom_add_fuzz_target(safetensors generate_files)
  headroom_add_fuzz_target(config generate_files)
endif()
