# The tests once more on other kernels, or with other readers of completions: one entry for a whole program, whose output tells the rest.
#
#   threads.PROGRAM   with PARKRING_KERNEL=threads
#   filtered.PROGRAM  under a seccomp filter that forbids io_uring: the library must choose threads
#                     by itself. Skipped where no filter can be installed.
#   reader_thread.PROGRAM  with PARKRING_READER=thread: another thread reads completions
#   driving_task.PROGRAM   with PARKRING_READER=task: they are read out of an epoll loop
#   sim.PROGRAM       every test in a simulated world of its own (tests/support/machine.hpp)
#
# Tests that are about Linux's own rings, or about what a simulated machine does not have, skip and
# say why.
add_executable(no-io-uring "${PROJECT_SOURCE_DIR}/tests/launchers/no_io_uring.cpp")
parkring_compile(no-io-uring)
target_include_directories(no-io-uring PRIVATE "${PROJECT_SOURCE_DIR}/tests")
set_target_properties(no-io-uring PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")

# Children of tests run requests, which takes threads there; the thread sanitizer ends them else.
set(threads_after_fork "TSAN_OPTIONS=string_append: die_after_fork=0")

# parkring_in_filter(name): the entry's command begins with no-io-uring.
function(parkring_in_filter name)
  set_tests_properties(${name} PROPERTIES TIMEOUT 600 LABELS "filtered"
    SKIP_RETURN_CODE 77 ENVIRONMENT_MODIFICATION "PARKRING_KERNEL=unset:;${threads_after_fork}")
endfunction()

# What makes worlds of its own, or meets no kernel, need not run again.
set(only_once "--gtest_filter=-*DeepNest*:*ForcedRace*:*Mix*:RefusedEnter*:OverflowInAWorld*")
string(APPEND only_once ":NeverCompletes*:ShortTransfers*:FailedClose*:KvStoreSim*")
string(APPEND only_once ":LogSim*:LogFailure*")

# The promise of no allocation is about Linux's own rings.
set(only_once_allocation "--gtest_filter=-*NoAllocation*")

foreach(program IN ITEMS unit_ring unit_op unit_buf unit_park unit_exec unit_fs unit_sync unit_shards unit_proc crash
    soundness stress allocation integration guide examples)
  if(NOT TARGET ${program})
    continue()
  endif()
  set(filter "${only_once}")
  if(DEFINED only_once_${program})
    set(filter "${only_once_${program}}")
  endif()
  parkring_test_group(threads.${program} "threads" ${program} ${filter})
  set_tests_properties(threads.${program} PROPERTIES
    ENVIRONMENT_MODIFICATION "PARKRING_KERNEL=set:threads;${threads_after_fork}")
  parkring_test_group(filtered.${program} "filtered"
    no-io-uring $<TARGET_FILE:${program}> ${filter})
  parkring_in_filter(filtered.${program})
endforeach()

# What is said of every kernel is said of threads also where there is no other.
parkring_test_group(filtered.conformance "filtered"
  no-io-uring $<TARGET_FILE:conformance> --gtest_filter=*/threads*-*Fuzz*)
parkring_in_filter(filtered.conformance)

# The other readers of completions, with what meets them and does not take long.
set(other_readers "${only_once}:DumpOnSignal*:Trace*:Generator*:*CompletionReader*")
set(other_readers_soundness "--gtest_filter=DroppedReads*:DroppedWaits*:*Teardown*:Overflow.*:Wakes*:Fork*-Fork.a_child_drops*:Overflow.a_hundred*")
foreach(program IN ITEMS unit_exec unit_fs unit_sync unit_proc soundness)
  set(filter "${other_readers}")
  if(DEFINED other_readers_${program})
    set(filter "${other_readers_${program}}")
  endif()
  if(NOT TARGET ${program})
    continue()
  endif()
  foreach(reader IN ITEMS reader_thread driving_task)
    string(REGEX REPLACE "reader_|driving_" "" value ${reader})
    parkring_test_group(${reader}.${program} "readers" ${program} ${filter})
    set_tests_properties(${reader}.${program} PROPERTIES
      ENVIRONMENT_MODIFICATION "PARKRING_READER=set:${value};${threads_after_fork}")
  endforeach()
endforeach()

# Worlds of five seeds, with other latencies and other winners of races.
parkring_test_group(sim.soundness "sim" soundness ${only_once} --gtest_repeat=5)
set_tests_properties(sim.soundness PROPERTIES ENVIRONMENT PARKRING_TEST_MACHINE=sim)

# --- Programs for users, where io_uring is forbidden ----------------------------------------------
if(TARGET parkring-probe)
  foreach(error IN ITEMS EPERM ENOSYS)
    add_test(NAME filtered.probe_${error}
      COMMAND no-io-uring --errno ${error} "${PROJECT_SOURCE_DIR}/tests/launchers/probe"
              $<TARGET_FILE:parkring-probe>)
    parkring_in_filter(filtered.probe_${error})
  endforeach()
endif()
if(PARKRING_BUILD_EXAMPLES)
  foreach(source IN LISTS example_sources)
    cmake_path(GET source STEM name)
    set(work "${PROJECT_BINARY_DIR}/examples/work/filtered_${name}")
    file(MAKE_DIRECTORY "${work}")
    parkring_example_arguments(arguments "${source}" "${work}")
    add_test(NAME filtered.example_${name}
      COMMAND no-io-uring $<TARGET_FILE:example_${name}> ${arguments})
    parkring_in_filter(filtered.example_${name})
    set_tests_properties(filtered.example_${name} PROPERTIES WORKING_DIRECTORY "${work}")
  endforeach()
  if(TARGET example_kv_store)
    set(work "${PROJECT_BINARY_DIR}/examples/work/filtered_kv_store")
    file(MAKE_DIRECTORY "${work}")
    add_test(NAME filtered.example_kv_store
      COMMAND no-io-uring "${kv_folder}/try" $<TARGET_FILE:example_kv_store>)
    parkring_in_filter(filtered.example_kv_store)
    set_tests_properties(filtered.example_kv_store PROPERTIES WORKING_DIRECTORY "${work}")
  endif()
endif()
