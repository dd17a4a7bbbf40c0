# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
#
# Each macro provides one dependency: the installed package, or else its source from the network.
# Macros, because find_package() sets variables that the caller reads.
include(FetchContent)

macro(headroom_fetch name repository tag)
  message(STATUS "headroom: ${name} is not installed, downloading ${tag}")
  FetchContent_Declare(${name} GIT_REPOSITORY ${repository} GIT_TAG ${tag} GIT_SHALLOW TRUE SYSTEM)
  FetchContent_MakeAvailable(${name})
endmacro()

# Eigen's version file accepts one major version only: a request for 3.4 refuses 5.0, and 3.4.0 refuses
# the range 3.4...5. So ask for any version and compare here (and again in headroomConfig.cmake.in).
macro(headroom_need_eigen)
  if(NOT TARGET Eigen3::Eigen)
    find_package(Eigen3 CONFIG QUIET)
    if(NOT Eigen3_FOUND)
      set(EIGEN_BUILD_CMAKE_PACKAGE ${HEADROOM_INSTALL})  # an installed headroom needs an installed Eigen
      headroom_fetch(Eigen3 https://gitlab.com/libeigen/eigen.git 5.0.1)
    elseif(Eigen3_VERSION VERSION_LESS 3.4 OR Eigen3_VERSION VERSION_GREATER_EQUAL 6)
      message(FATAL_ERROR "headroom works with Eigen 3.4 and 5.x; ${Eigen3_DIR} is Eigen ${Eigen3_VERSION}")
    endif()
  endif()
endmacro()

# Debian 12 has Catch2 2.13; tests/support/catch.hpp hides the difference.
macro(headroom_need_catch2)
  find_package(Catch2 3 CONFIG QUIET)
  if(NOT Catch2_FOUND)
    find_package(Catch2 2 CONFIG QUIET)
  endif()
  if(NOT Catch2_FOUND)
    headroom_fetch(Catch2 https://github.com/catchorg/Catch2.git v3.8.1)
  endif()
endmacro()

macro(headroom_need_benchmark)
  find_package(benchmark CONFIG QUIET)
  if(NOT benchmark_FOUND)
    set(BENCHMARK_ENABLE_TESTING OFF)
    headroom_fetch(benchmark https://github.com/google/benchmark.git v1.9.4)
  endif()
endmacro()

macro(headroom_need_json)
  find_package(nlohmann_json CONFIG QUIET)
  if(NOT nlohmann_json_FOUND)
    headroom_fetch(nlohmann_json https://github.com/nlohmann/json.git v3.12.0)
  endif()
endmacro()

macro(headroom_need_cli11)
  find_package(CLI11 CONFIG QUIET)
  if(NOT CLI11_FOUND)
    headroom_fetch(CLI11 https://github.com/CLIUtils/CLI11.git v2.5.0)
  endif()
endmacro()

# HEADROOM_PYTHON: a python3 that draws plots, where there is one.
function(headroom_has_matplotlib result candidate)
  execute_process(COMMAND ${candidate} -c "import matplotlib" RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(failed)
    set(${result} FALSE PARENT_SCOPE)
  endif()
endfunction()
macro(headroom_find_matplotlib)
  find_program(HEADROOM_PYTHON python3 VALIDATOR headroom_has_matplotlib)
  mark_as_advanced(HEADROOM_PYTHON)
endmacro()
