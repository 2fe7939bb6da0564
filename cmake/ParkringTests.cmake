# Tests. Files are found by name, so adding one needs no change here:
#
#   src/<layer>/**/*_test.cpp   one program unit_<layer> for each layer
#   tests/<topic>/**/*_test.cpp one program <topic> for each topic, with the other .cpp files beside
#   tests/support/*.cpp         helpers that every test program links
#   tests/misuse/NAME.cpp       must not compile; NAME_fixed.cpp must
#   tests/tools/test_*.py       tests of the repository's own scripts
#   tests/foreign/              beside other libraries: ParkringForeignTests.cmake
#   tests/consumer/             a foreign project that uses the installed library
if(CMAKE_CROSSCOMPILING)
  # The system's library is for the system's processor; Debian's libgtest-dev has the source too.
  add_subdirectory(/usr/src/googletest googletest EXCLUDE_FROM_ALL)
else()
  find_package(GTest REQUIRED)
endif()
find_package(Python3 REQUIRED COMPONENTS Interpreter)
include(GoogleTest)

set(parkring_support "")
file(GLOB_RECURSE support_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/support/*.cpp")
list(FILTER support_sources EXCLUDE REGEX "_test\\.cpp$")
if(support_sources)
  add_library(parkring-test-support STATIC ${support_sources})
  parkring_compile(parkring-test-support)
  target_include_directories(parkring-test-support PRIVATE
    "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(parkring-test-support PUBLIC parkring-static GTest::gtest GTest::gmock)
  set(parkring_support parkring-test-support)
endif()

# parkring_test_group(name labels command...): one entry for many tests, which exits with 0 also
# when all of them skip. Then it counts as skipped, and without a single test as failed.
function(parkring_test_group name labels)
  add_test(NAME ${name} COMMAND ${ARGN} --gtest_brief=1)
  set_tests_properties(${name} PROPERTIES TIMEOUT 600 LABELS "${labels}"
    SKIP_REGULAR_EXPRESSION "PASSED  \\] 0 tests\\..\\[  SKIPPED"
    FAIL_REGULAR_EXPRESSION "] 0 tests from 0 test suites ran")
endfunction()

# parkring_compile_test(target): how tests are compiled.
function(parkring_compile_test name)
  parkring_compile(${name})
  target_include_directories(${name} PRIVATE
    "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests")
  target_compile_definitions(${name} PRIVATE
    PARKRING_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE
    ${parkring_support} parkring-static GTest::gtest GTest::gmock)
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    # A test runs for moments and compiles for longer: the library is optimised, its tests little.
    target_compile_options(${name} PRIVATE -O1)
  endif()
  if("address" IN_LIST PARKRING_SANITIZE)
    # Checks of every access make a test compile for twice as long when they are optimised as well.
    target_compile_options(${name} PRIVATE -O0)
  endif()
endfunction()

# What nearly every test includes, parsed once for all programs.
file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/tests/header.cpp" CONTENT "// Compiled for its header.\n")
add_library(parkring-test-header OBJECT "${PROJECT_BINARY_DIR}/tests/header.cpp")
parkring_compile_test(parkring-test-header)
target_precompile_headers(parkring-test-header PRIVATE <gtest/gtest.h> <parkring/parkring.hpp>)

# parkring_test_program(name labels sources...)
function(parkring_test_program name labels)
  add_executable(${name} ${ARGN})
  parkring_compile_test(${name})
  target_link_libraries(${name} PRIVATE GTest::gtest_main)
  target_precompile_headers(${name} REUSE_FROM parkring-test-header)
  if(CMAKE_BUILD_TYPE STREQUAL "Release" AND name STREQUAL "model")
    # Millions of states: what goes through them is optimised, and so has no share in the header.
    set_source_files_properties("${PROJECT_SOURCE_DIR}/tests/model/explorer.cpp" PROPERTIES
      COMPILE_OPTIONS -O3 SKIP_PRECOMPILE_HEADERS ON)
  endif()
  if("address" IN_LIST PARKRING_SANITIZE AND name STREQUAL "unit_exec")
    # GCC 12 fails on this one at -O0. The header is for -O0 only.
    set_source_files_properties("${PROJECT_SOURCE_DIR}/src/exec/workers_test.cpp" PROPERTIES
      COMPILE_OPTIONS -O1 SKIP_PRECOMPILE_HEADERS ON)
  endif()
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  if(name STREQUAL "conformance")
    # One entry for each kernel: a process for each of a thousand tests would take longer than they.
    set(others "")
    foreach(machine IN ITEMS linux_disk linux_tmpfs threads sim)
      parkring_test_group(conformance.${machine} "${labels}"
        conformance --gtest_filter=*/${machine}*)
      string(APPEND others ":*/${machine}*")
    endforeach()
    parkring_test_group(conformance.others "${labels}" conformance --gtest_filter=-${others})
    # Worlds of further seeds, with other latencies and other winners of races.
    parkring_test_group(conformance.sim_seeds "${labels}"
      conformance --gtest_filter=*/sim*-*Fuzz* --gtest_repeat=4)
    set_tests_properties(conformance.sim_seeds PROPERTIES ENVIRONMENT PARKRING_TEST_SEED=2)
    return()
  endif()
  gtest_discover_tests(${name}
    TEST_PREFIX "${name}."
    DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT 120 LABELS "${labels}")
endfunction()

# parkring_test_programs(folder prefix): one program for each direct subfolder that has tests.
function(parkring_test_programs folder prefix)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS RELATIVE "${folder}" "${folder}/*.cpp")
  set(names "")
  foreach(source IN LISTS sources)
    if(NOT source MATCHES "_test\\.cpp$")
      continue()
    endif()
    if(NOT source MATCHES "^([^/]+)/")
      message(FATAL_ERROR "${folder}/${source}: put this test into a folder, which names its program")
    endif()
    list(APPEND names "${CMAKE_MATCH_1}")
  endforeach()
  list(REMOVE_DUPLICATES names)
  list(REMOVE_ITEM names misuse consumer tools foreign)
  if(NOT PARKRING_BUILD_EXAMPLES)
    list(REMOVE_ITEM names examples)  # they link what the examples are made of
  endif()
  if(PARKRING_SANITIZE)
    list(REMOVE_ITEM names model)  # one thread, a long jump for each step: minutes, and nothing to see
  endif()
  foreach(name IN LISTS names)
    set(own ${sources})
    list(FILTER own INCLUDE REGEX "^${name}/")
    if(prefix STREQUAL "unit_" OR name STREQUAL "support")
      list(FILTER own INCLUDE REGEX "_test\\.cpp$")  # the rest is in a library already
    endif()
    list(TRANSFORM own PREPEND "${folder}/")
    set(labels "${name}")
    if(prefix)
      list(APPEND labels unit)
    endif()
    if(name STREQUAL "stress")
      list(APPEND labels soak)
    endif()
    parkring_test_program(${prefix}${name} "${labels}" ${own})
  endforeach()
endfunction()

parkring_test_programs("${PROJECT_SOURCE_DIR}/src" "unit_")
parkring_test_programs("${PROJECT_SOURCE_DIR}/tests" "")

# What follows looks at text only. A sanitizer changes none of it, so its presets leave it out.
if(PARKRING_SANITIZE)
  return()
endif()

# --- Programs that must not compile ---------------------------------------------------------------
file(GLOB misuse_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/misuse/*.cpp")
list(FILTER misuse_sources EXCLUDE REGEX "_fixed\\.cpp$")
# What all of them include is parsed once for all, each time that any of them runs.
set(misuse_command Python3::Interpreter "${PROJECT_SOURCE_DIR}/tools/misuse.py"
  --compiler "${CMAKE_CXX_COMPILER}" --include "${PROJECT_SOURCE_DIR}/include")
set(misuse_header "${PROJECT_BINARY_DIR}/tests/misuse")
add_test(NAME misuse.header COMMAND ${misuse_command} --prepare "${misuse_header}")
set_tests_properties(misuse.header PROPERTIES TIMEOUT 120 LABELS misuse FIXTURES_SETUP misuse_header)
foreach(source IN LISTS misuse_sources)
  cmake_path(GET source STEM name)
  add_test(NAME misuse.${name}
    COMMAND ${misuse_command} --prepared "${misuse_header}" "${source}")
  set_tests_properties(misuse.${name} PROPERTIES TIMEOUT 120 LABELS misuse
    FIXTURES_REQUIRED misuse_header)
endforeach()

# --- The repository itself ------------------------------------------------------------------------
add_test(NAME repository_check
  COMMAND Python3::Interpreter "${PROJECT_SOURCE_DIR}/tools/check.py"
          --compiler "${CMAKE_CXX_COMPILER}")
set_tests_properties(repository_check PROPERTIES TIMEOUT 600 LABELS repository PROCESSORS 2)
add_test(NAME documents_check
  COMMAND Python3::Interpreter "${PROJECT_SOURCE_DIR}/tools/docs.py")
set_tests_properties(documents_check PROPERTIES TIMEOUT 120 LABELS repository)
file(GLOB script_tests CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/tools/test_*.py")
foreach(source IN LISTS script_tests)
  cmake_path(GET source STEM name)
  add_test(NAME tools.${name} COMMAND Python3::Interpreter -B "${source}")
  set_tests_properties(tools.${name} PROPERTIES TIMEOUT 120 LABELS repository)
endforeach()

# --- The installed tree ---------------------------------------------------------------------------
if(PARKRING_TEST_PACKAGE AND EXISTS "${PROJECT_SOURCE_DIR}/tests/consumer/run")
  add_test(NAME package.consumer
    COMMAND "${PROJECT_SOURCE_DIR}/tests/consumer/run"
            "${PROJECT_BINARY_DIR}" "${CMAKE_COMMAND}" "${CMAKE_CXX_COMPILER}")
  set_tests_properties(package.consumer PROPERTIES TIMEOUT 300 LABELS package)
endif()
