# Tests beside foreign libraries, built where those are found:
#
#   tests/foreign/NAME_*_test.cpp   a program foreign_NAME, linked with parkring::NAME
#   examples/foreign/NAME.cpp       a program example_NAME, run by examples/foreign/try_NAME
foreach(name IN ITEMS libuv glib sd_event asio)
  if(NOT TARGET parkring::${name})
    message(STATUS "${name} was not found: its tests are left out (./dev deps)")
    continue()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/foreign/${name}_*_test.cpp")
  parkring_test_program(foreign_${name} "foreign" ${sources})
  target_link_libraries(foreign_${name} PRIVATE parkring::${name})
  add_test(NAME threads.foreign_${name} COMMAND foreign_${name} --gtest_brief=1)
  set_tests_properties(threads.foreign_${name} PROPERTIES TIMEOUT 600 LABELS "threads"
    ENVIRONMENT_MODIFICATION "PARKRING_KERNEL=set:threads")
  add_test(NAME filtered.foreign_${name}
    COMMAND no-io-uring $<TARGET_FILE:foreign_${name}> --gtest_brief=1)
  parkring_in_filter(filtered.foreign_${name})
endforeach()

# --- Examples of libraries that tasks wait for, by pr::async_fd -----------------------------------
if(NOT PARKRING_BUILD_EXAMPLES OR CMAKE_CROSSCOMPILING)
  return()
endif()
find_package(PkgConfig QUIET)
set(arguments_of_libpq "${PROJECT_SOURCE_DIR}/README.md")
set(arguments_of_libcurl "")
foreach(name IN ITEMS libpq libcurl)
  if(PkgConfig_FOUND)
    pkg_check_modules(PARKRING_${name} QUIET IMPORTED_TARGET ${name})
  endif()
  if(NOT PARKRING_${name}_FOUND)
    message(STATUS "${name} was not found: its example is left out (./dev deps)")
    continue()
  endif()
  add_executable(example_${name} "${PROJECT_SOURCE_DIR}/examples/foreign/${name}.cpp")
  parkring_compile(example_${name})
  target_link_libraries(example_${name} PRIVATE parkring::parkring PkgConfig::PARKRING_${name})
  set_target_properties(example_${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
  foreach(kernel IN ITEMS linux threads)
    set(test example.${name})
    if(kernel STREQUAL "threads")
      set(test threads.example_${name})
    endif()
    add_test(NAME ${test} COMMAND "${PROJECT_SOURCE_DIR}/examples/foreign/try_${name}"
             $<TARGET_FILE:example_${name}> ${arguments_of_${name}})
    set_tests_properties(${test} PROPERTIES TIMEOUT 240 LABELS "example;foreign"
      SKIP_RETURN_CODE 77)
  endforeach()
  set_tests_properties(threads.example_${name} PROPERTIES
    ENVIRONMENT_MODIFICATION "PARKRING_KERNEL=set:threads")
endforeach()
