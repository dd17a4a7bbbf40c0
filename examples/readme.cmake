# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
#
# cmake -DROOT=<the repository> -P readme.cmake: the code on the front page is the program that the tests run.
file(READ ${ROOT}/README.md readme)
file(READ ${ROOT}/examples/00_readme.cpp program)
string(REGEX REPLACE "^(//[^\n]*\n)+" "" program "${program}")  # without the licence
string(STRIP "${program}" program)
string(FIND "${readme}" "```cpp\n${program}\n```\n" found)
if(found EQUAL -1)
  message(FATAL_ERROR "README.md does not show examples/00_readme.cpp as it is; copy it there, without its licence:\n\n"
                      "${program}")
endif()
