"""Where the answers and errors of each ECS action come from.

Error tables were read in stored copies of Alibaba Cloud's API pages, in English and Chinese, of
2019 to 2026; a code that an action's own page lacks names the page or program that has it.
"""

from __future__ import annotations

from emulator.truth import HELP, NO_SOURCE, FromDocs, Refusal, Truth, docs, refusals

PAGE = f"{HELP}/ecs/developer-reference/api-ecs-2014-05-26-"
REGION = refusals("docs: common errors", 404, "InvalidRegionId.NotFound")
INSTANCE = refusals("docs: DeleteInstance", 404, "InvalidInstanceId.NotFound")
TAG_FORM = refusals(
    "docs: TagResources",
    400,
    "InvalidTagKey.Malformed",
    "InvalidTagValue.Malformed",
    "InvalidTagCount",
)
TAGS = (*TAG_FORM, *refusals("docs: TagResources", 400, "Duplicate.TagKey"))
INSTANCE_STATE = refusals(
    "docs: DeleteInstance", 403, "IncorrectInstanceStatus", "IncorrectInstanceStatus.Initializing"
)
DRY_RUN = refusals("the SDK's docstring; status in docs: DescribeDisks", 400, "DryRunOperation")
CLIENT_TOKEN = (
    *refusals("docs: RunInstances", 400, "InvalidClientToken.ValueNotSupported"),
    *refusals(
        "docs: how to ensure idempotence",
        403,
        "IdempotentParameterMismatch",
        "IdempotentProcessing",
    ),
)
ORDER = (
    *docs(
        400,
        "InvalidInstanceType.ValueNotSupported",
        "InvalidHostName.Malformed",
        "InvalidAutoReleaseTime.Malformed",
        "InvalidUserData.SizeExceeded",
        "InvalidUserData.Base64FormatInvalid",
        "InvalidDiskCategory.ValueNotSupported",
        "InvalidDataDiskSize.ValueNotSupported",
        "InvalidSpotPriceLimit",
        "InvalidDiskDescription.Malformed",
    ),
    *docs(403, "OperationDenied.NoStock", "Zone.NotOnSale"),
    *docs(
        404,
        "InvalidZoneId.NotFound",
        "InvalidKeyPairName.NotFound",
        "InvalidSystemDiskSize.LessThanImageSize",
    ),
    *refusals(
        "docs: CreateInstance",
        400,
        "InvalidInstanceName.Malformed",
        "InvalidDescription.Malformed",
        "InvalidDiskName.Malformed",
        "InvalidPerformanceLevel.Malformed",
        "InvalidHttpEndpoint.NotSupported",
        "InvalidHttpTokens.NotSupported",
        "UnexpectedImageFamily.ImageIdSupplied",
        "QuotaExceeded.PrivateIpAddress",
    ),
    *refusals(
        "docs: CreateInstance",
        403,
        "InvalidVSwitchId.NotFound",
        "InvalidSnapshotId.NotReady",
        "InvalidDiskSize.TooSmall",
        "InvalidImageFamily.MissingAvailableImage",
    ),
    *refusals(
        "docs: CreateInstance",
        404,
        "InvalidImageId.NotFound",
        "InvalidSecurityGroupId.NotFound",
        "InvalidDataDiskSnapshotId.NotFound",
        "InvalidSystemDiskSize",
    ),
    *refusals("docs: ModifyInstanceChargeType", 400, "InvalidInstanceChargeType.ValueNotSupported"),
)
SNAPSHOT = (
    *docs(400, "IncorrectInstanceStatus"),
    *docs(
        403,
        "IncorrectDiskStatus.NeverAttached",
        "IncorrectDiskStatus.CreatingSnapshot",
        "QuotaExceed.Snapshot",
    ),
    *docs(404, "InvalidDiskId.NotFound"),
    *refusals(
        "docs: CreateSnapshotGroup",
        400,
        "InvalidSnapshotName.Malformed",
        "InvalidRetentionDays.Malformed",
    ),
    *refusals(
        "docs: CreateSnapshotGroup",
        403,
        "IncorrectDiskStatus",
        "InvalidSnapshotCategory.Malformed",
    ),
    *refusals("docs: CreateSnapshotGroup", 404, "InvalidDescription.Malformed"),
)
COMMAND_TAGS = (
    *docs(400, "NumberExceed.Tags", "InvalidTagKey.Malformed", "InvalidTagValue.Malformed"),
    *refusals("docs: TagResources", 400, "Duplicate.TagKey"),
)
COMMAND_PAGES = docs(
    400, "InvalidParam.PageNumber", "InvalidParam.PageSize", "InvalidParameter.MaxResults"
)
# RunCommand's own table could be read as of 2021 only; those of its siblings are of 2025.
COMMAND = (
    *docs(403, "InstanceIds.ExceedLimit", "CmdName.ExceedLimit", "CmdDesc.ExceedLimit"),
    *docs(403, "Username.ExceedLimit"),
    *docs(404, "InvalidInstance.NotFound"),
    *refusals("docs: CreateCommand", 400, "CmdContent.DecodeError"),
    *refusals("docs: CreateCommand", 403, "CmdContent.ExceedLimit", "InvalidTimeout.ExceedLimit"),
    *refusals("docs: CreateCommand", 404, "InvalidCmdType.NotFound"),
    *refusals(
        "docs: InvokeCommand",
        400,
        "MissingParam.InstanceId",
        "InvalidParameter.WorkingDir",
        "InvalidClientToken.Malformed",
    ),
    *refusals(
        "docs: InvokeCommand",
        403,
        "IdempotentParameterMismatch",
        "IdempotentProcessing",
    ),
    *refusals(
        "docs: InvokeCommand", 404, "InvalidRepeatMode.NotFound", "InvalidTerminationMode.NotFound"
    ),
)


def of(action: str, *groups: tuple[Refusal, ...]) -> tuple[str, Truth]:
    own = tuple(refusal for group in groups for refusal in group)
    return action, Truth(FromDocs(PAGE + action.lower()), own)


TRUTHS = dict(
    (
        of("RunInstances", REGION, TAGS, CLIENT_TOKEN, DRY_RUN, ORDER),
        of(
            "DescribeInstances",
            REGION,
            TAG_FORM,
            refusals("docs: DescribeDisks", 400, "InvalidStatus.ValueNotSupported"),
        ),
        of("DescribeInstanceStatus", REGION, INSTANCE),
        of("StartInstance", INSTANCE, INSTANCE_STATE, DRY_RUN),
        of("StopInstance", INSTANCE, INSTANCE_STATE, DRY_RUN),
        of("DeleteInstance", INSTANCE, INSTANCE_STATE, DRY_RUN),
        of("DescribeDisks", REGION, TAG_FORM),
        of(
            "DeleteDisk",
            refusals("docs: CreateSnapshotGroup", 404, "InvalidDiskId.NotFound"),
            refusals("docs: CreateSnapshotGroup", 403, "IncorrectDiskStatus"),
        ),
        of("CreateSnapshot", TAGS, CLIENT_TOKEN, SNAPSHOT),
        of("DescribeSnapshots", REGION, TAG_FORM),
        of(
            "DeleteSnapshot",
            docs(404, "InvalidSnapshotId.NotFound"),
            docs(403, "SnapshotCreatedDisk"),
        ),
        of(
            "ImportKeyPair",
            REGION,
            TAGS,
            docs(
                400,
                "InvalidKeyPairName.Malformed",
                "InvalidPublicKeyBody.Malformed",
                "KeyPair.AlreadyExist",
            ),
        ),
        of("DescribeKeyPairs", REGION, TAG_FORM),
        of(
            "DeleteKeyPairs",
            REGION,
            docs(400, "InvalidParameter.KeypairAlreadyAttachedInstance"),
        ),
        of("DescribeImages", REGION),
        of(
            "DescribeImageFromFamily",
            REGION,
            refusals(NO_SOURCE, 404, "InvalidImageFamily.NotFound"),
        ),
        of("DescribeRegions"),
        of("RunCommand", REGION, COMMAND_TAGS, COMMAND),
        of("DescribeInvocationResults", REGION, COMMAND_TAGS, COMMAND_PAGES),
        of("DescribeInvocations", REGION, COMMAND_TAGS, COMMAND_PAGES),
        of(
            "StopInvocation",
            REGION,
            docs(403, "InstanceIds.ExceedLimit"),
            docs(404, "InvalidInvokeId.NotFound", "InvalidInstanceId.NotFound"),
        ),
        of(
            "DescribeCloudAssistantStatus",
            REGION,
            COMMAND_PAGES,
            docs(403, "InstanceIds.ExceedLimit"),
            docs(404, "InvalidInstance.NotFound"),
        ),
        of(
            "TagResources",
            REGION,
            TAGS,
            docs(400, "NumberExceed.ResourceIds"),
            docs(403, "QuotaExceed.Tags"),
            docs(404, "InvalidResourceType.NotFound", "InvalidResourceId.NotFound"),
        ),
    )
)
