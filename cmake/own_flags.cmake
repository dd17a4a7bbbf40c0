# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
#
# headroom_own: what our own programs are compiled with, on top of the library.
set(CMAKE_CXX_EXTENSIONS OFF)
add_library(headroom_own INTERFACE)
target_link_libraries(headroom_own INTERFACE headroom::headroom)
target_compile_options(headroom_own INTERFACE
  -Wall -Wextra -Wconversion -Wshadow
  $<$<BOOL:${HEADROOM_WERROR}>:-Werror>
  # GCC 12 takes the undefined lanes of its own AVX-512 intrinsics for a mistake (GCC bug 105593).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-maybe-uninitialized$<SEMICOLON>-Wno-uninitialized>
  $<$<BOOL:${HEADROOM_NATIVE}>:-march=native>)

if(HEADROOM_OPENMP)
  find_package(OpenMP COMPONENTS CXX QUIET)
endif()
# The flag by itself changes what Eigen and the library do, so all our programs have it or none has.
if(OpenMP_CXX_FOUND)
  target_link_libraries(headroom_own INTERFACE OpenMP::OpenMP_CXX)
else()
  target_compile_options(headroom_own INTERFACE -Wno-unknown-pragmas)
endif()

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES AND NOT CMAKE_CXX_FLAGS)
  message(WARNING "No build type is set, so the compiler will not optimize: pass "
                  "-DCMAKE_BUILD_TYPE=Release, or use one of the presets")
endif()

# dir/sub/name.cpp, relative to the current folder -> dir/sub/name
function(headroom_stem source result)
  cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  cmake_path(REMOVE_EXTENSION source)
  set(${result} ${source} PARENT_SCOPE)
endfunction()

# headroom_precompile(TARGET HEADERS...): compiles the headers once for all targets of a folder, which
# are compiled with the same flags.
function(headroom_precompile target)
  get_property(first DIRECTORY PROPERTY headroom_precompiled)
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    target_precompile_headers(${target} PRIVATE ${ARGN})
    set_property(DIRECTORY PROPERTY headroom_precompiled ${target})
  endif()
endfunction()
