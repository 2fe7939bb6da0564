# Each examples/NAME.cpp is a program example_NAME that the tests run.
#
# Its first line may be a comment with the arguments for that run:
#   // test-args: {source} {work}/copy
# {source} is the path of the file itself, {work} a folder of its own that is there and empty of
# anything but what earlier runs left.

# parkring_example_arguments(variable source work): what its first line asks for.
function(parkring_example_arguments variable source work)
  file(STRINGS "${source}" first_line LIMIT_COUNT 1)
  set(arguments "")
  if(first_line MATCHES "^// test-args: *(.*)$")
    separate_arguments(arguments UNIX_COMMAND "${CMAKE_MATCH_1}")
    list(TRANSFORM arguments REPLACE "{source}" "${source}")
    list(TRANSFORM arguments REPLACE "{work}" "${work}")
  endif()
  set(${variable} ${arguments} PARENT_SCOPE)
endfunction()

file(GLOB example_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.cpp")
foreach(source IN LISTS example_sources)
  cmake_path(GET source STEM name)
  add_executable(example_${name} "${source}")
  parkring_compile(example_${name})
  target_link_libraries(example_${name} PRIVATE parkring::parkring)
  set_target_properties(example_${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")

  if(PARKRING_BUILD_TESTS)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
    set(work "${PROJECT_BINARY_DIR}/examples/work/${name}")
    file(MAKE_DIRECTORY "${work}")
    parkring_example_arguments(arguments "${source}" "${work}")
    add_test(NAME example.${name} COMMAND example_${name} ${arguments} WORKING_DIRECTORY "${work}")
    set_tests_properties(example.${name} PROPERTIES TIMEOUT 120 LABELS example)
  endif()
endforeach()

# --- examples/kv_store: a whole program, whose parts the tests link too ---------------------------
set(kv_folder "${PROJECT_SOURCE_DIR}/examples/kv_store")
add_library(kv_store STATIC "${kv_folder}/record.cpp" "${kv_folder}/store.cpp")
parkring_compile(kv_store)
target_include_directories(kv_store PUBLIC "${PROJECT_SOURCE_DIR}/examples")
target_link_libraries(kv_store PUBLIC parkring::parkring)
if(TARGET examples)  # tests/examples
  target_link_libraries(examples PRIVATE kv_store)
endif()

# parkring_program(name libraries...): a program of examples/NAME, which its script `try` tests.
function(parkring_program name)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/${name}/*.cpp")
  add_executable(example_${name} ${sources})
  parkring_compile(example_${name})
  parkring_optimise_little("${PROJECT_SOURCE_DIR}/examples/${name}/main.cpp")
  target_link_libraries(example_${name} PRIVATE parkring::parkring ${ARGN})
  set_target_properties(example_${name} PROPERTIES
    OUTPUT_NAME ${name}
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
  if(PARKRING_BUILD_TESTS)
    set(work "${PROJECT_BINARY_DIR}/examples/work/${name}")
    file(MAKE_DIRECTORY "${work}")
    add_test(NAME example.${name}
      COMMAND "${PROJECT_SOURCE_DIR}/examples/${name}/try" $<TARGET_FILE:example_${name}>
      WORKING_DIRECTORY "${work}")
    set_tests_properties(example.${name} PROPERTIES TIMEOUT 120 LABELS example)
  endif()
endfunction()

find_package(CLI11 QUIET)
if(CLI11_FOUND)
  add_executable(example_kv_store "${kv_folder}/main.cpp")
  parkring_compile(example_kv_store)
  parkring_optimise_little("${kv_folder}/main.cpp")
  target_link_libraries(example_kv_store PRIVATE kv_store CLI11::CLI11)
  set_target_properties(example_kv_store PROPERTIES
    OUTPUT_NAME kv_store
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
  if(PARKRING_BUILD_TESTS)
    set(work "${PROJECT_BINARY_DIR}/examples/work/kv_store")
    file(MAKE_DIRECTORY "${work}")
    add_test(NAME example.kv_store
      COMMAND "${kv_folder}/try" $<TARGET_FILE:example_kv_store> WORKING_DIRECTORY "${work}")
    set_tests_properties(example.kv_store PROPERTIES TIMEOUT 120 LABELS example)
  endif()
  parkring_program(prcp CLI11::CLI11)
  find_package(OpenSSL QUIET)
  if(OPENSSL_FOUND)
    parkring_program(prsum CLI11::CLI11 OpenSSL::Crypto)
  else()
    message(WARNING "OpenSSL was not found (Debian: libssl-dev): the program prsum is left out")
  endif()
else()
  message(WARNING "CLI11 was not found (Debian: libcli11-dev): the programs kv_store, prcp and prsum are left out")
endif()

# --- examples/prgrep ------------------------------------------------------------------------------
find_path(PARKRING_PCRE2_INCLUDE pcre2.h)
find_library(PARKRING_PCRE2_LIBRARY pcre2-8)
if(PARKRING_PCRE2_INCLUDE AND PARKRING_PCRE2_LIBRARY)
  if(CLI11_FOUND)
    parkring_program(prgrep CLI11::CLI11 "${PARKRING_PCRE2_LIBRARY}")
    parkring_optimise_little("${PROJECT_SOURCE_DIR}/examples/prgrep/command_line.cpp")
    target_include_directories(example_prgrep SYSTEM PRIVATE "${PARKRING_PCRE2_INCLUDE}")
  endif()
else()
  message(STATUS "PCRE2 was not found (Debian: libpcre2-dev): the program prgrep is left out")
endif()
