# Each examples/NAME.cpp is a program example_NAME that the tests run.
#
# Its first line may be a comment with the arguments for that run:
#   // test-args: {source} {work}/copy
# {source} is the path of the file itself, {work} a folder of its own that is there and empty of
# anything but what earlier runs left.
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
    file(STRINGS "${source}" first_line LIMIT_COUNT 1)
    set(arguments "")
    if(first_line MATCHES "^// test-args: *(.*)$")
      separate_arguments(arguments UNIX_COMMAND "${CMAKE_MATCH_1}")
      list(TRANSFORM arguments REPLACE "{source}" "${source}")
      list(TRANSFORM arguments REPLACE "{work}" "${work}")
    endif()
    add_test(NAME example.${name} COMMAND example_${name} ${arguments} WORKING_DIRECTORY "${work}")
    set_tests_properties(example.${name} PROPERTIES TIMEOUT 120 LABELS example)
  endif()
endforeach()
