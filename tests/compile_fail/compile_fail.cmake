# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
#
# A misuse that the compiler must refuse, with words that help. Each tests/compile_fail/<name>.cpp
#  - starts with `// expect: <text>`, plain words that stand in the compiler's error, or with
#    `// expect in notes: <text>` where a concept refuses and the compiler names it in a note,
#  - compiles as it is, which shows that nothing else is wrong with it,
#  - makes one mistake where HEADROOM_MISUSE is defined, and gets one error for it.
# The compiler is called directly: no build system between it and the message. The library is
# precompiled first, by a test of its own; without that most of the time would go into reading it again.
set(include_flags "-I$<JOIN:$<TARGET_PROPERTY:headroom,INTERFACE_INCLUDE_DIRECTORIES>,;-I>")
set(precompiled ${CMAKE_CURRENT_BINARY_DIR}/compile_fail.hpp)
file(CONFIGURE OUTPUT ${precompiled} CONTENT "#include <headroom/headroom.hpp>\n")
add_test(NAME compile_fail/precompile
  COMMAND ${CMAKE_CXX_COMPILER} -std=c++20 -w "${include_flags}"
          -x c++-header ${precompiled} -o ${precompiled}.gch
  COMMAND_EXPAND_LISTS)
set_tests_properties(compile_fail/precompile PROPERTIES FIXTURES_SETUP compile_fail)

function(headroom_add_compile_fail source)
  cmake_path(GET source STEM name)
  file(READ ${source} first_line LIMIT 400)
  if(NOT first_line MATCHES "^// expect( in notes)?: ([^\n]+)\n")
    message(FATAL_ERROR "${source}: the first line is to say `// expect: <text of the error>`")
  endif()
  if(CMAKE_MATCH_1)
    set(before "error: .*")
    set(second_error "")  # gcc words some of the notes on a concept as errors
  else()
    set(before "error: [^\n]*")
    set(second_error "error: .*error: ")
  endif()
  # Plain words, not a pattern: a dot stands for whatever a regular expression or a list would read.
  string(REGEX REPLACE "[^A-Za-z0-9_ ]" "." expected "${CMAKE_MATCH_2}")

  foreach(use IN ITEMS CORRECT MISUSE)
    add_test(NAME compile_fail/${name}/${use}
      COMMAND ${CMAKE_CXX_COMPILER} -std=c++20 -w "${include_flags}"
              -include ${precompiled} -fsyntax-only -DHEADROOM_${use} ${source}
      COMMAND_EXPAND_LISTS)
    set_tests_properties(compile_fail/${name}/${use} PROPERTIES FIXTURES_REQUIRED compile_fail)
  endforeach()
  set_tests_properties(compile_fail/${name}/MISUSE PROPERTIES
    PASS_REGULAR_EXPRESSION "${before}${expected}" FAIL_REGULAR_EXPRESSION "${second_error}")
endfunction()

file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${sources})  # for their first lines
foreach(source IN LISTS sources)
  headroom_add_compile_fail(${source})
endforeach()
