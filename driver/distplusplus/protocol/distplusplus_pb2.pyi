from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CompressionType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NONE: _ClassVar[CompressionType]
    zstd: _ClassVar[CompressionType]

class Language(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNKNOWN_LANGUAGE: _ClassVar[Language]
    C: _ClassVar[Language]
    CXX: _ClassVar[Language]
    OBJECTIVE_C: _ClassVar[Language]
    OBJECTIVE_CXX: _ClassVar[Language]
    ASSEMBLER: _ClassVar[Language]
NONE: CompressionType
zstd: CompressionType
UNKNOWN_LANGUAGE: Language
C: Language
CXX: Language
OBJECTIVE_C: Language
OBJECTIVE_CXX: Language
ASSEMBLER: Language

class File(_message.Message):
    __slots__ = ("name", "compressionType", "content")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMPRESSIONTYPE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    compressionType: CompressionType
    content: bytes
    def __init__(self, name: _Optional[str] = ..., compressionType: _Optional[_Union[CompressionType, str]] = ..., content: _Optional[bytes] = ...) -> None: ...

class ServerQuery(_message.Message):
    __slots__ = ("compiler", "desiredCompressionType", "answerUnknownCompiler")
    COMPILER_FIELD_NUMBER: _ClassVar[int]
    DESIREDCOMPRESSIONTYPE_FIELD_NUMBER: _ClassVar[int]
    ANSWERUNKNOWNCOMPILER_FIELD_NUMBER: _ClassVar[int]
    compiler: str
    desiredCompressionType: CompressionType
    answerUnknownCompiler: bool
    def __init__(self, compiler: _Optional[str] = ..., desiredCompressionType: _Optional[_Union[CompressionType, str]] = ..., answerUnknownCompiler: _Optional[bool] = ...) -> None: ...

class QueryAnswer(_message.Message):
    __slots__ = ("compilerSupported", "compressionTypeSupported", "currentLoad", "maxJobs", "compilerIdentity", "capacity", "feature")
    COMPILERSUPPORTED_FIELD_NUMBER: _ClassVar[int]
    COMPRESSIONTYPESUPPORTED_FIELD_NUMBER: _ClassVar[int]
    CURRENTLOAD_FIELD_NUMBER: _ClassVar[int]
    MAXJOBS_FIELD_NUMBER: _ClassVar[int]
    COMPILERIDENTITY_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    compilerSupported: bool
    compressionTypeSupported: bool
    currentLoad: int
    maxJobs: int
    compilerIdentity: Compiler
    capacity: Capacity
    feature: _containers.RepeatedScalarFieldContainer[Description.Feature]
    def __init__(self, compilerSupported: _Optional[bool] = ..., compressionTypeSupported: _Optional[bool] = ..., currentLoad: _Optional[int] = ..., maxJobs: _Optional[int] = ..., compilerIdentity: _Optional[_Union[Compiler, _Mapping]] = ..., capacity: _Optional[_Union[Capacity, _Mapping]] = ..., feature: _Optional[_Iterable[_Union[Description.Feature, str]]] = ...) -> None: ...

class Compiler(_message.Message):
    __slots__ = ("name", "family", "version", "target", "digest")
    class Family(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN_FAMILY: _ClassVar[Compiler.Family]
        GCC: _ClassVar[Compiler.Family]
        CLANG: _ClassVar[Compiler.Family]
    UNKNOWN_FAMILY: Compiler.Family
    GCC: Compiler.Family
    CLANG: Compiler.Family
    NAME_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    family: Compiler.Family
    version: str
    target: str
    digest: str
    def __init__(self, name: _Optional[str] = ..., family: _Optional[_Union[Compiler.Family, str]] = ..., version: _Optional[str] = ..., target: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class Capacity(_message.Message):
    __slots__ = ("cpus", "freeMemoryMib", "slots", "slotsReason", "runningJobs", "reservedSlots", "queuedReservations", "draining", "reservationTimeoutMs", "maxInputBytes", "maxWaitMs")
    CPUS_FIELD_NUMBER: _ClassVar[int]
    FREEMEMORYMIB_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SLOTSREASON_FIELD_NUMBER: _ClassVar[int]
    RUNNINGJOBS_FIELD_NUMBER: _ClassVar[int]
    RESERVEDSLOTS_FIELD_NUMBER: _ClassVar[int]
    QUEUEDRESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    RESERVATIONTIMEOUTMS_FIELD_NUMBER: _ClassVar[int]
    MAXINPUTBYTES_FIELD_NUMBER: _ClassVar[int]
    MAXWAITMS_FIELD_NUMBER: _ClassVar[int]
    cpus: int
    freeMemoryMib: int
    slots: int
    slotsReason: str
    runningJobs: int
    reservedSlots: int
    queuedReservations: int
    draining: bool
    reservationTimeoutMs: int
    maxInputBytes: int
    maxWaitMs: int
    def __init__(self, cpus: _Optional[int] = ..., freeMemoryMib: _Optional[int] = ..., slots: _Optional[int] = ..., slotsReason: _Optional[str] = ..., runningJobs: _Optional[int] = ..., reservedSlots: _Optional[int] = ..., queuedReservations: _Optional[int] = ..., draining: _Optional[bool] = ..., reservationTimeoutMs: _Optional[int] = ..., maxInputBytes: _Optional[int] = ..., maxWaitMs: _Optional[int] = ...) -> None: ...

class Reservation(_message.Message):
    __slots__ = ("waitMs", "user")
    WAITMS_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    waitMs: int
    user: str
    def __init__(self, waitMs: _Optional[int] = ..., user: _Optional[str] = ...) -> None: ...

class ReservationAnswer(_message.Message):
    __slots__ = ("success", "uuid", "timeoutMs", "waitedMs")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTMS_FIELD_NUMBER: _ClassVar[int]
    WAITEDMS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    uuid: str
    timeoutMs: int
    waitedMs: int
    def __init__(self, success: _Optional[bool] = ..., uuid: _Optional[str] = ..., timeoutMs: _Optional[int] = ..., waitedMs: _Optional[int] = ...) -> None: ...

class CompileRequest(_message.Message):
    __slots__ = ("uuid", "compiler", "inputFile", "cwd", "argument", "outputName", "furtherOutputs", "furtherInput", "language", "expectedCompiler", "reserveNext", "directivesOnly", "headerJob")
    UUID_FIELD_NUMBER: _ClassVar[int]
    COMPILER_FIELD_NUMBER: _ClassVar[int]
    INPUTFILE_FIELD_NUMBER: _ClassVar[int]
    CWD_FIELD_NUMBER: _ClassVar[int]
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    OUTPUTNAME_FIELD_NUMBER: _ClassVar[int]
    FURTHEROUTPUTS_FIELD_NUMBER: _ClassVar[int]
    FURTHERINPUT_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    EXPECTEDCOMPILER_FIELD_NUMBER: _ClassVar[int]
    RESERVENEXT_FIELD_NUMBER: _ClassVar[int]
    DIRECTIVESONLY_FIELD_NUMBER: _ClassVar[int]
    HEADERJOB_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    compiler: str
    inputFile: File
    cwd: str
    argument: _containers.RepeatedScalarFieldContainer[str]
    outputName: str
    furtherOutputs: bool
    furtherInput: _containers.RepeatedCompositeFieldContainer[FurtherInput]
    language: Language
    expectedCompiler: Compiler
    reserveNext: bool
    directivesOnly: bool
    headerJob: HeaderJob
    def __init__(self, uuid: _Optional[str] = ..., compiler: _Optional[str] = ..., inputFile: _Optional[_Union[File, _Mapping]] = ..., cwd: _Optional[str] = ..., argument: _Optional[_Iterable[str]] = ..., outputName: _Optional[str] = ..., furtherOutputs: _Optional[bool] = ..., furtherInput: _Optional[_Iterable[_Union[FurtherInput, _Mapping]]] = ..., language: _Optional[_Union[Language, str]] = ..., expectedCompiler: _Optional[_Union[Compiler, _Mapping]] = ..., reserveNext: _Optional[bool] = ..., directivesOnly: _Optional[bool] = ..., headerJob: _Optional[_Union[HeaderJob, _Mapping]] = ...) -> None: ...

class HeaderJob(_message.Message):
    __slots__ = ("table", "newInput", "input", "source", "directory", "content", "ownHeaders", "assembly", "dependencies")
    class Input(_message.Message):
        __slots__ = ("number", "path", "digest", "target")
        NUMBER_FIELD_NUMBER: _ClassVar[int]
        PATH_FIELD_NUMBER: _ClassVar[int]
        DIGEST_FIELD_NUMBER: _ClassVar[int]
        TARGET_FIELD_NUMBER: _ClassVar[int]
        number: int
        path: str
        digest: bytes
        target: str
        def __init__(self, number: _Optional[int] = ..., path: _Optional[str] = ..., digest: _Optional[bytes] = ..., target: _Optional[str] = ...) -> None: ...
    class Content(_message.Message):
        __slots__ = ("digest", "file")
        DIGEST_FIELD_NUMBER: _ClassVar[int]
        FILE_FIELD_NUMBER: _ClassVar[int]
        digest: bytes
        file: File
        def __init__(self, digest: _Optional[bytes] = ..., file: _Optional[_Union[File, _Mapping]] = ...) -> None: ...
    TABLE_FIELD_NUMBER: _ClassVar[int]
    NEWINPUT_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    OWNHEADERS_FIELD_NUMBER: _ClassVar[int]
    ASSEMBLY_FIELD_NUMBER: _ClassVar[int]
    DEPENDENCIES_FIELD_NUMBER: _ClassVar[int]
    table: bytes
    newInput: _containers.RepeatedCompositeFieldContainer[HeaderJob.Input]
    input: _containers.RepeatedScalarFieldContainer[int]
    source: str
    directory: str
    content: _containers.RepeatedCompositeFieldContainer[HeaderJob.Content]
    ownHeaders: bytes
    assembly: bool
    dependencies: bool
    def __init__(self, table: _Optional[bytes] = ..., newInput: _Optional[_Iterable[_Union[HeaderJob.Input, _Mapping]]] = ..., input: _Optional[_Iterable[int]] = ..., source: _Optional[str] = ..., directory: _Optional[str] = ..., content: _Optional[_Iterable[_Union[HeaderJob.Content, _Mapping]]] = ..., ownHeaders: _Optional[bytes] = ..., assembly: _Optional[bool] = ..., dependencies: _Optional[bool] = ...) -> None: ...

class FurtherInput(_message.Message):
    __slots__ = ("kind", "file")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN_INPUT: _ClassVar[FurtherInput.Kind]
        PROFILE: _ClassVar[FurtherInput.Kind]
    UNKNOWN_INPUT: FurtherInput.Kind
    PROFILE: FurtherInput.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    kind: FurtherInput.Kind
    file: File
    def __init__(self, kind: _Optional[_Union[FurtherInput.Kind, str]] = ..., file: _Optional[_Union[File, _Mapping]] = ...) -> None: ...

class CompileAnswer(_message.Message):
    __slots__ = ("returnCode", "stdout", "stderr", "outputFile", "currentLoad", "furtherOutput", "report", "next", "missing", "unknownTable")
    RETURNCODE_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    OUTPUTFILE_FIELD_NUMBER: _ClassVar[int]
    CURRENTLOAD_FIELD_NUMBER: _ClassVar[int]
    FURTHEROUTPUT_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    UNKNOWNTABLE_FIELD_NUMBER: _ClassVar[int]
    returnCode: int
    stdout: str
    stderr: str
    outputFile: File
    currentLoad: int
    furtherOutput: _containers.RepeatedCompositeFieldContainer[FurtherOutput]
    report: JobReport
    next: ReservationAnswer
    missing: _containers.RepeatedScalarFieldContainer[bytes]
    unknownTable: bool
    def __init__(self, returnCode: _Optional[int] = ..., stdout: _Optional[str] = ..., stderr: _Optional[str] = ..., outputFile: _Optional[_Union[File, _Mapping]] = ..., currentLoad: _Optional[int] = ..., furtherOutput: _Optional[_Iterable[_Union[FurtherOutput, _Mapping]]] = ..., report: _Optional[_Union[JobReport, _Mapping]] = ..., next: _Optional[_Union[ReservationAnswer, _Mapping]] = ..., missing: _Optional[_Iterable[bytes]] = ..., unknownTable: _Optional[bool] = ...) -> None: ...

class FurtherOutput(_message.Message):
    __slots__ = ("kind", "file")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN_OUTPUT: _ClassVar[FurtherOutput.Kind]
        DWO: _ClassVar[FurtherOutput.Kind]
        GCNO: _ClassVar[FurtherOutput.Kind]
        STACK_USAGE: _ClassVar[FurtherOutput.Kind]
        CALLGRAPH: _ClassVar[FurtherOutput.Kind]
        OPTIMIZATION_RECORD: _ClassVar[FurtherOutput.Kind]
        TIME_TRACE: _ClassVar[FurtherOutput.Kind]
        DEPENDENCIES: _ClassVar[FurtherOutput.Kind]
    UNKNOWN_OUTPUT: FurtherOutput.Kind
    DWO: FurtherOutput.Kind
    GCNO: FurtherOutput.Kind
    STACK_USAGE: FurtherOutput.Kind
    CALLGRAPH: FurtherOutput.Kind
    OPTIMIZATION_RECORD: FurtherOutput.Kind
    TIME_TRACE: FurtherOutput.Kind
    DEPENDENCIES: FurtherOutput.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    kind: FurtherOutput.Kind
    file: File
    def __init__(self, kind: _Optional[_Union[FurtherOutput.Kind, str]] = ..., file: _Optional[_Union[File, _Mapping]] = ...) -> None: ...

class JobReport(_message.Message):
    __slots__ = ("prepareMs", "compileMs", "transferMs", "userCpuMs", "systemCpuMs", "maxRssKib", "signal")
    PREPAREMS_FIELD_NUMBER: _ClassVar[int]
    COMPILEMS_FIELD_NUMBER: _ClassVar[int]
    TRANSFERMS_FIELD_NUMBER: _ClassVar[int]
    USERCPUMS_FIELD_NUMBER: _ClassVar[int]
    SYSTEMCPUMS_FIELD_NUMBER: _ClassVar[int]
    MAXRSSKIB_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    prepareMs: int
    compileMs: int
    transferMs: int
    userCpuMs: int
    systemCpuMs: int
    maxRssKib: int
    signal: int
    def __init__(self, prepareMs: _Optional[int] = ..., compileMs: _Optional[int] = ..., transferMs: _Optional[int] = ..., userCpuMs: _Optional[int] = ..., systemCpuMs: _Optional[int] = ..., maxRssKib: _Optional[int] = ..., signal: _Optional[int] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("reason", "subject", "transient", "retryAfterMs")
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN_REASON: _ClassVar[Refusal.Reason]
        FULL: _ClassVar[Refusal.Reason]
        QUEUE_FULL: _ClassVar[Refusal.Reason]
        DRAINING: _ClassVar[Refusal.Reason]
        UNKNOWN_RESERVATION: _ClassVar[Refusal.Reason]
        EXPIRED_RESERVATION: _ClassVar[Refusal.Reason]
        USED_RESERVATION: _ClassVar[Refusal.Reason]
        COMPILER_NOT_ALLOWED: _ClassVar[Refusal.Reason]
        COMPILER_MISMATCH: _ClassVar[Refusal.Reason]
        ARGUMENT_NOT_ALLOWED: _ClassVar[Refusal.Reason]
        NOT_A_COMPILE: _ClassVar[Refusal.Reason]
        BAD_NAME: _ClassVar[Refusal.Reason]
        UNKNOWN_COMPRESSION: _ClassVar[Refusal.Reason]
        BAD_FRAME: _ClassVar[Refusal.Reason]
        INPUT_TOO_LARGE: _ClassVar[Refusal.Reason]
        FURTHER_OUTPUTS: _ClassVar[Refusal.Reason]
        FURTHER_INPUT_MISSING: _ClassVar[Refusal.Reason]
        OUTPUT_TOO_LARGE: _ClassVar[Refusal.Reason]
        JOB_TIMEOUT: _ClassVar[Refusal.Reason]
        TRANSFER_TIMEOUT: _ClassVar[Refusal.Reason]
        SERVER_FAULT: _ClassVar[Refusal.Reason]
        BAD_TOKEN: _ClassVar[Refusal.Reason]
        LANGUAGE_NOT_SUPPORTED: _ClassVar[Refusal.Reason]
        BAD_PATH: _ClassVar[Refusal.Reason]
        OUT_OF_MEMORY: _ClassVar[Refusal.Reason]
        MALFORMED_MESSAGE: _ClassVar[Refusal.Reason]
        CLIENT_NOT_ALLOWED: _ClassVar[Refusal.Reason]
    UNKNOWN_REASON: Refusal.Reason
    FULL: Refusal.Reason
    QUEUE_FULL: Refusal.Reason
    DRAINING: Refusal.Reason
    UNKNOWN_RESERVATION: Refusal.Reason
    EXPIRED_RESERVATION: Refusal.Reason
    USED_RESERVATION: Refusal.Reason
    COMPILER_NOT_ALLOWED: Refusal.Reason
    COMPILER_MISMATCH: Refusal.Reason
    ARGUMENT_NOT_ALLOWED: Refusal.Reason
    NOT_A_COMPILE: Refusal.Reason
    BAD_NAME: Refusal.Reason
    UNKNOWN_COMPRESSION: Refusal.Reason
    BAD_FRAME: Refusal.Reason
    INPUT_TOO_LARGE: Refusal.Reason
    FURTHER_OUTPUTS: Refusal.Reason
    FURTHER_INPUT_MISSING: Refusal.Reason
    OUTPUT_TOO_LARGE: Refusal.Reason
    JOB_TIMEOUT: Refusal.Reason
    TRANSFER_TIMEOUT: Refusal.Reason
    SERVER_FAULT: Refusal.Reason
    BAD_TOKEN: Refusal.Reason
    LANGUAGE_NOT_SUPPORTED: Refusal.Reason
    BAD_PATH: Refusal.Reason
    OUT_OF_MEMORY: Refusal.Reason
    MALFORMED_MESSAGE: Refusal.Reason
    CLIENT_NOT_ALLOWED: Refusal.Reason
    REASON_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TRANSIENT_FIELD_NUMBER: _ClassVar[int]
    RETRYAFTERMS_FIELD_NUMBER: _ClassVar[int]
    reason: Refusal.Reason
    subject: str
    transient: bool
    retryAfterMs: int
    def __init__(self, reason: _Optional[_Union[Refusal.Reason, str]] = ..., subject: _Optional[str] = ..., transient: _Optional[bool] = ..., retryAfterMs: _Optional[int] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Description(_message.Message):
    __slots__ = ("serverVersion", "protocolRevision", "compiler", "capacity", "jobsDone", "jobsRefused", "feature")
    class Feature(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN_FEATURE: _ClassVar[Description.Feature]
        WAITING: _ClassVar[Description.Feature]
        FURTHER_OUTPUTS: _ClassVar[Description.Feature]
        FURTHER_INPUTS: _ClassVar[Description.Feature]
        NEXT_RESERVATION: _ClassVar[Description.Feature]
        DIRECTIVES_ONLY: _ClassVar[Description.Feature]
        HEADER_JOBS: _ClassVar[Description.Feature]
    UNKNOWN_FEATURE: Description.Feature
    WAITING: Description.Feature
    FURTHER_OUTPUTS: Description.Feature
    FURTHER_INPUTS: Description.Feature
    NEXT_RESERVATION: Description.Feature
    DIRECTIVES_ONLY: Description.Feature
    HEADER_JOBS: Description.Feature
    SERVERVERSION_FIELD_NUMBER: _ClassVar[int]
    PROTOCOLREVISION_FIELD_NUMBER: _ClassVar[int]
    COMPILER_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    JOBSDONE_FIELD_NUMBER: _ClassVar[int]
    JOBSREFUSED_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    serverVersion: str
    protocolRevision: int
    compiler: _containers.RepeatedCompositeFieldContainer[Compiler]
    capacity: Capacity
    jobsDone: int
    jobsRefused: int
    feature: _containers.RepeatedScalarFieldContainer[Description.Feature]
    def __init__(self, serverVersion: _Optional[str] = ..., protocolRevision: _Optional[int] = ..., compiler: _Optional[_Iterable[_Union[Compiler, _Mapping]]] = ..., capacity: _Optional[_Union[Capacity, _Mapping]] = ..., jobsDone: _Optional[int] = ..., jobsRefused: _Optional[int] = ..., feature: _Optional[_Iterable[_Union[Description.Feature, str]]] = ...) -> None: ...
