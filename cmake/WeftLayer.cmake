# gcc clears a struct of some 200 bytes with "rep stos", which takes longer to
# start than plain stores to finish: a third of what the wire costs per call.
set(WEFT_MEMSET_STRATEGY -mmemset-strategy=vector_loop:512:noalign,libcall:-1:noalign)
include(CheckCCompilerFlag)
check_c_compiler_flag(${WEFT_MEMSET_STRATEGY} WEFT_HAVE_MEMSET_STRATEGY)

# A call passes through all layers, and most of what each does for it is small
# functions of another file.  The objects are fat: they hold machine code as well,
# so that libweft.a is an ordinary library for other compilers and linkers, and for
# this compiler with -fno-lto.
set(can_lto OFF)
if(CMAKE_C_COMPILER_ID STREQUAL GNU)
  check_c_compiler_flag(-ffat-lto-objects WEFT_HAVE_FAT_LTO_OBJECTS)
  if(WEFT_HAVE_FAT_LTO_OBJECTS AND CMAKE_BUILD_TYPE STREQUAL Release)
    set(can_lto ON)
  endif()
endif()
option(WEFT_LTO "Optimise libweft at link time; gcc alone" ${can_lto})
set(WEFT_LTO_COMPILE)
set(WEFT_LTO_LINK)
if(WEFT_LTO)
  set(WEFT_LTO_COMPILE -flto=auto -ffat-lto-objects)
  set(WEFT_LTO_LINK -flto -flto=auto) # the former alone undoes an -fno-lto
endif()

# What a call runs through lies together, and refusals elsewhere, when the compiler
# has seen which is which: script/profiled builds twice and trains in between.  What
# it has not seen run is compiled as ever.  Of the values that it saw it makes no
# use: for copies of many sizes gcc would choose "rep movs", which takes longer to
# start than 1 KiB to copy.  Where it knows what runs it may put more into one
# function than otherwise: what a call runs through gets shorter by that, since what
# nobody runs lies apart.
set(WEFT_PROFILE "" CACHE STRING "'generate' a profile of libweft, or 'use' it; gcc alone")
set(WEFT_PROFILE_COMPILE)
if(WEFT_PROFILE STREQUAL generate)
  set(WEFT_PROFILE_COMPILE -fprofile-generate -fno-profile-values)
elseif(WEFT_PROFILE STREQUAL use)
  set(WEFT_PROFILE_COMPILE -fprofile-use -fprofile-partial-training -fno-profile-values
    --param=max-inline-insns-auto=200 --param=inline-min-speedup=2
    --param=large-function-growth=400
    -Wno-missing-profile
    -Wno-error=coverage-mismatch) # of a function that has changed since: it has none
elseif(NOT WEFT_PROFILE STREQUAL "")
  message(FATAL_ERROR "WEFT_PROFILE is '${WEFT_PROFILE}'; it may be 'generate', 'use' or empty")
endif()

# weft_layer(NAME SOURCES ... USES ... [PRIVATE_USES ...])
#
# One folder, one object library.  Include paths travel only along USES, so a
# wrong #include cannot compile: include/ is public and installed, internal/ is
# for the layers above, the folder itself (for *_internal.h) for nobody else.
function(weft_layer NAME)
  cmake_parse_arguments(A "" "" "SOURCES;USES;PRIVATE_USES" ${ARGN})
  add_library(${NAME} OBJECT ${A_SOURCES})
  target_include_directories(${NAME} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include
    ${CMAKE_CURRENT_SOURCE_DIR}/internal PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${NAME} PUBLIC ${A_USES} PRIVATE ${A_PRIVATE_USES})
  weft_warnings(${NAME})
  if(WEFT_HAVE_MEMSET_STRATEGY)
    target_compile_options(${NAME} PRIVATE ${WEFT_MEMSET_STRATEGY})
  endif()
  # Each call has ten of the C library's: straight there, and not by a stub each.
  target_compile_options(${NAME} PRIVATE -fno-plt ${WEFT_LTO_COMPILE}
    ${WEFT_PROFILE_COMPILE})
endfunction()

function(weft_warnings NAME)
  target_compile_definitions(${NAME} PRIVATE _GNU_SOURCE)
  target_compile_options(${NAME} PRIVATE -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes
    $<$<BOOL:${WEFT_WERROR}>:-Werror>)
endfunction()

# weft_archive(): all layers in one library, what users link: weft::weft.  Tests
# reach behind the public interface, which a shared library hides; they link
# weft_whole, which is always the archive.
function(weft_archive)
  set(objects)
  foreach(layer ${WEFT_LAYERS})
    list(APPEND objects $<TARGET_OBJECTS:${layer}>)
  endforeach()
  add_library(weft ${objects})
  weft_usage(weft)
  add_library(weft::weft ALIAS weft)
  set_target_properties(weft PROPERTIES VERSION ${weft_VERSION}
    # Before 1.0 each minor version may break the ABI.
    SOVERSION ${weft_VERSION_MAJOR}.${weft_VERSION_MINOR})
  if(BUILD_SHARED_LIBS)
    target_link_options(weft PRIVATE ${WEFT_LTO_LINK})
    add_library(weft_whole STATIC EXCLUDE_FROM_ALL ${objects})
    weft_usage(weft_whole)
  else()
    add_library(weft_whole ALIAS weft)
  endif()
endfunction()

# Include paths and dependencies of a library made of all layers.  Only genexes
# name the layers, so that the installed package knows nothing of them.
function(weft_usage NAME)
  foreach(dir ${WEFT_PUBLIC_DIRS})
    target_include_directories(${NAME} PUBLIC $<BUILD_INTERFACE:${weft_SOURCE_DIR}/${dir}/include>)
  endforeach()
  target_include_directories(${NAME} PUBLIC $<INSTALL_INTERFACE:include>)
  foreach(dependency ${WEFT_PUBLIC_DEPENDENCIES})
    string(REGEX REPLACE "=.*" "" dependency ${dependency})
    target_link_libraries(${NAME} PUBLIC PkgConfig::${dependency})
  endforeach()
  foreach(dependency ${WEFT_PRIVATE_DEPENDENCIES})
    string(REGEX REPLACE "=.*" "" dependency ${dependency})
    target_link_libraries(${NAME} PRIVATE PkgConfig::${dependency})
  endforeach()
  target_link_libraries(${NAME} PRIVATE Threads::Threads)
  if(WEFT_PROFILE STREQUAL generate)
    target_link_options(${NAME} PUBLIC -fprofile-generate)
  endif()
endfunction()

# weft_test(LAYER NAME [SOURCES ...] [USES ...] [LABELS ...]): test/<this
# folder>/NAME.c under cmocka.  It may see the public headers, and the private ones
# of LAYER (and of the layers below, whose internal/ headers LAYER itself may see).
# Labels that script/test knows:
#   threads  several threads meet (or its source starts one): run under
#            ThreadSanitizer too
#   consul   needs a real Consul (all of test/cluster): run once, alone
#   once     does not depend on how the library was compiled: run once
function(weft_test LAYER NAME)
  cmake_parse_arguments(A "" "" "SOURCES;USES;LABELS" ${ARGN})
  add_executable(${NAME} ${NAME}.c ${A_SOURCES})
  weft_test_target(${LAYER} ${NAME} USES ${A_USES} LABELS ${A_LABELS})
endfunction()

# weft_test_target(LAYER NAME [USES ...] [LABELS ...]): the same for an executable
# that exists.
function(weft_test_target LAYER NAME)
  cmake_parse_arguments(A "" "" "USES;LABELS" ${ARGN})
  get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  get_target_property(private ${LAYER} SOURCE_DIR)
  target_include_directories(${NAME} PRIVATE ${weft_SOURCE_DIR}/test/support ${private}
    $<TARGET_PROPERTY:${LAYER},INTERFACE_INCLUDE_DIRECTORIES>)
  get_target_property(uses ${LAYER} INTERFACE_LINK_LIBRARIES)
  foreach(use ${uses})
    if(use MATCHES "^weft_")
      target_include_directories(${NAME} PRIVATE $<TARGET_PROPERTY:${use},INTERFACE_INCLUDE_DIRECTORIES>)
    endif()
  endforeach()
  target_link_libraries(${NAME} PRIVATE weft_whole PkgConfig::CMOCKA ${A_USES})
  weft_warnings(${NAME})
  add_test(NAME ${folder}/${NAME} COMMAND ${NAME})
  get_target_property(sources ${NAME} SOURCES)
  list(GET sources 0 source)
  file(STRINGS ${source} starts_threads REGEX "pthread_create" LIMIT_COUNT 1)
  if(starts_threads)
    list(APPEND A_LABELS threads)
  endif()
  if(folder STREQUAL cluster)
    list(APPEND A_LABELS consul)
  endif()
  set_tests_properties(${folder}/${NAME} PROPERTIES TIMEOUT 120 LABELS "${A_LABELS}")
  if("consul" IN_LIST A_LABELS)
    set_tests_properties(${folder}/${NAME} PROPERTIES RUN_SERIAL TRUE)
  endif()
endfunction()
