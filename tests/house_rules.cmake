# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
#
# cmake -DROOT=<the repository> -P house_rules.cmake: what no compiler checks about who may name what.
function(forbid pattern why)
  foreach(file IN LISTS ARGN)
    file(STRINGS ${file} lines REGEX "${pattern}")
    foreach(line IN LISTS lines)
      message(SEND_ERROR "${file}: ${why}\n  ${line}")
    endforeach()
  endforeach()
endfunction()

file(GLOB_RECURSE examples ${ROOT}/examples/*.cpp ${ROOT}/examples/*.hpp)
forbid("headroom/detail/|detail::" "an example shows the public headers; detail/ is not for users" ${examples})

file(GLOB_RECURSE headers ${ROOT}/include/headroom/*.hpp)
list(FILTER headers EXCLUDE REGEX "/detail/packet(_bits|_end|_stored)?\\.hpp$")
forbid("Eigen::internal|namespace Eigen" "only detail/packet.hpp, packet_bits.hpp, packet_end.hpp and packet_stored.hpp may know the inside of Eigen" ${headers})
