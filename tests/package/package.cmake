# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
#
# The ways into another project: its own folder, an installed package; and what both must refuse.
set(consumer_dir ${CMAKE_CURRENT_BINARY_DIR}/package)
set(consumer_stage ${consumer_dir}/stage)
set(consumer_installed -DCMAKE_PREFIX_PATH=${consumer_stage})
set(consumer_in_tree -DHEADROOM_SOURCE=${PROJECT_SOURCE_DIR})
set(consumer_old_eigen -DEigen3_DIR=${CMAKE_CURRENT_LIST_DIR}/old_eigen)

# Configures and builds the consumer, and runs it.
function(headroom_add_consumer name)
  add_test(NAME package/${name} COMMAND ${CMAKE_CTEST_COMMAND}
    --build-and-test ${CMAKE_CURRENT_SOURCE_DIR}/package ${consumer_dir}/${name}
    --build-generator ${CMAKE_GENERATOR} --build-makeprogram ${CMAKE_MAKE_PROGRAM}
    --build-options -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER} -DEigen3_DIR=${Eigen3_DIR} ${ARGN}
    --test-command ${CMAKE_CROSSCOMPILING_EMULATOR} ${consumer_dir}/${name}/consumer)
endfunction()

# Configures the consumer, which must stop with a message that matches.
function(headroom_add_refusal name message)
  add_test(NAME package/${name} COMMAND ${CMAKE_COMMAND} --fresh
    -S ${CMAKE_CURRENT_SOURCE_DIR}/package -B ${consumer_dir}/${name}
    -G ${CMAKE_GENERATOR} -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER} ${ARGN})
  set_tests_properties(package/${name} PROPERTIES PASS_REGULAR_EXPRESSION "${message}")
endfunction()

add_test(NAME package/install
  COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${consumer_stage})
set_tests_properties(package/install PROPERTIES FIXTURES_SETUP installed)

headroom_add_consumer(subdirectory ${consumer_in_tree})
headroom_add_consumer(find_package ${consumer_installed} -DWANTED_VERSION=0.1)
headroom_add_refusal(other_version "compatible with[ \n]+requested version \"0.2\""
  ${consumer_installed} -DWANTED_VERSION=0.2)
headroom_add_refusal(old_eigen_subdirectory "Eigen[ \n]+3.4[ \n]+and[ \n]+5.x.*3.3.9"
  ${consumer_in_tree} ${consumer_old_eigen})
headroom_add_refusal(old_eigen_package "Eigen[ \n]+3.4[ \n]+and[ \n]+5.x.*3.3.9"
  ${consumer_installed} ${consumer_old_eigen})
set_tests_properties(package/find_package package/other_version package/old_eigen_package PROPERTIES
  FIXTURES_REQUIRED installed)
