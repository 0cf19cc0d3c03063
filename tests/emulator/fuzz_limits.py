"""What the API's pages say of parameters, written down apart from the emulator's rules.

Ranges, lengths and values as in the SDKs' docstrings and the pages that these link to.
"""

from __future__ import annotations

REQUIRED: dict[str, tuple[str, ...]] = {
    "RunInstances": ("RegionId", "InstanceType", "ImageId", "VSwitchId", "SecurityGroupId"),
    "StartInstance": ("InstanceId",),
    "StopInstance": ("InstanceId",),
    "DeleteInstance": ("InstanceId",),
    "DeleteDisk": ("DiskId",),
    "CreateSnapshot": ("DiskId",),
    "DeleteSnapshot": ("SnapshotId",),
    "TagResources": ("RegionId", "ResourceType", "ResourceId.1"),
    "ImportKeyPair": ("RegionId", "KeyPairName", "PublicKeyBody"),
    "DeleteKeyPairs": ("RegionId", "KeyPairNames"),
    "DescribeInstances": ("RegionId",),
    "DescribeInstanceStatus": ("RegionId",),
    "DescribeDisks": ("RegionId",),
    "DescribeSnapshots": ("RegionId",),
    "DescribeKeyPairs": ("RegionId",),
    "DescribeImages": ("RegionId",),
    "DescribeImageFromFamily": ("RegionId", "ImageFamily"),
    "RunCommand": ("RegionId", "Type", "CommandContent"),
    "DescribeInvocationResults": ("RegionId",),
    "DescribeInvocations": ("RegionId",),
    "StopInvocation": ("RegionId", "InvokeId"),
    "DescribeCloudAssistantStatus": ("RegionId",),
    "CreateClusterNodePool": (
        "nodepool_info",
        "scaling_group",
        "nodepool_info.name",
        "scaling_group.vswitch_ids",
        "scaling_group.instance_types",
        "scaling_group.instance_charge_type",
    ),
    "ScaleClusterNodePool": ("count",),
}

_COMMAND_PAGES = {"PageNumber": (1, 10**30), "PageSize": (1, 50), "MaxResults": (1, 50)}
# Least and most of a number.
RANGES: dict[str, dict[str, tuple[int, int]]] = {
    "RunInstances": {
        "Amount": (1, 100),
        "InternetMaxBandwidthOut": (0, 100),
        "DataDisk.1.Size": (1, 65536),
        "SystemDisk.Size": (20, 2048),
        "SpotDuration": (0, 1),
    },
    "CreateSnapshot": {"RetentionDays": (1, 65536)},
    "RunCommand": {"Timeout": (10, 86400)},
    "DescribeInvocationResults": _COMMAND_PAGES,
    "DescribeInvocations": _COMMAND_PAGES,
    "DescribeCloudAssistantStatus": _COMMAND_PAGES,
    "DescribeInstances": {"PageNumber": (1, 10**30), "PageSize": (1, 100), "MaxResults": (1, 100)},
    "DescribeInstanceStatus": {"PageNumber": (1, 10**30), "PageSize": (1, 50)},
    "DescribeDisks": {"PageNumber": (1, 10**30), "PageSize": (1, 100), "MaxResults": (1, 500)},
    "DescribeSnapshots": {"PageNumber": (1, 10**30), "PageSize": (1, 100), "MaxResults": (1, 100)},
    "DescribeKeyPairs": {"PageNumber": (1, 10**30), "PageSize": (1, 50)},
    "DescribeImages": {"PageNumber": (1, 10**30), "PageSize": (1, 100)},
    "DescribeClusterNodes": {"pageSize": (1, 100), "pageNumber": (1, 10**30)},
    "DescribeClusterUserKubeconfig": {"TemporaryDurationMinutes": (15, 4320)},
    "ScaleClusterNodePool": {"count": (1, 500)},
    "CreateClusterNodePool": {
        "scaling_group.desired_size": (0, 10**30),
        "scaling_group.system_disk_size": (20, 2048),
        "scaling_group.data_disks.1.size": (40, 32768),
    },
    "ModifyClusterNodePool": {
        "scaling_group.desired_size": (0, 10**30),
        "scaling_group.system_disk_size": (20, 2048),
    },
}

# Parameters that take one of a few values; what a caller must not send is made from one of them.
ENUMS: dict[str, dict[str, str]] = {
    "RunInstances": {
        "InstanceChargeType": "PostPaid",
        "SpotStrategy": "NoSpot",
        "HttpTokens": "required",
        "HttpEndpoint": "enabled",
        "SystemDisk.Category": "cloud_essd",
        "DataDisk.1.Category": "cloud_essd",
        "DataDisk.1.PerformanceLevel": "PL1",
        "DataDisk.1.Encrypted": "false",
    },
    "StopInstance": {"StoppedMode": "KeepCharging"},
    "CreateSnapshot": {"Category": "Standard"},
    "RunCommand": {
        "Type": "RunShellScript",
        "ContentEncoding": "PlainText",
        "RepeatMode": "Once",
        "TerminationMode": "ProcessTree",
    },
    "DescribeInvocationResults": {"InvokeRecordStatus": "Finished", "ContentEncoding": "Base64"},
    "DescribeInvocations": {"InvokeStatus": "Success", "CommandType": "RunShellScript"},
    "DescribeCloudAssistantStatus": {"OSType": "Linux"},
    "TagResources": {"ResourceType": "instance"},
    "DescribeInstances": {"Status": "Running"},
    "DescribeDisks": {"Status": "Available", "DiskType": "data", "Category": "cloud_essd"},
    "DescribeSnapshots": {
        "Status": "accomplished",
        "SnapshotType": "user",
        "SourceDiskType": "data",
        "Usage": "none",
    },
    "DescribeImages": {
        "Architecture": "x86_64",
        "Status": "Available",
        "OSType": "linux",
        "ImageOwnerAlias": "system",
    },
    "DescribeClusterNodes": {"state": "running"},
    "CreateClusterNodePool": {
        "scaling_group.instance_charge_type": "PostPaid",
        "scaling_group.image_type": "AliyunLinux3",
        "scaling_group.system_disk_category": "cloud_essd",
        "scaling_group.data_disks.1.category": "cloud_essd",
        "scaling_group.multi_az_policy": "BALANCE",
        "scaling_group.scaling_policy": "release",
        "scaling_group.spot_strategy": "NoSpot",
        "kubernetes_config.runtime": "containerd",
        "kubernetes_config.cpu_policy": "none",
        "nodepool_info.type": "ess",
    },
    "ModifyClusterNodePool": {
        "scaling_group.image_type": "AliyunLinux3",
        "scaling_group.system_disk_category": "cloud_essd",
        "scaling_group.multi_az_policy": "BALANCE",
        "kubernetes_config.runtime": "containerd",
    },
}

_TAG = {"Tag.1.Key": 128, "Tag.1.Value": 128}
_COMMAND_TAG = {"Tag.1.Key": 64, "Tag.1.Value": 128}
# Most characters of a text.
LENGTHS: dict[str, dict[str, int]] = {
    "RunInstances": {
        **_TAG,
        "ClientToken": 64,
        "InstanceName": 128,
        "HostName": 64,
        "Description": 256,
        "DataDisk.1.DiskName": 128,
        "SystemDisk.DiskName": 128,
    },
    "CreateSnapshot": {**_TAG, "ClientToken": 64, "SnapshotName": 128, "Description": 256},
    "ImportKeyPair": {**_TAG, "KeyPairName": 128},
    "TagResources": _TAG,
    "RunCommand": {
        **_COMMAND_TAG,
        "ClientToken": 64,
        "CommandContent": 18 * 1024,
        "Name": 128,
        "Description": 512,
        "WorkingDir": 200,
        "Username": 255,
    },
    "CreateClusterNodePool": {
        "nodepool_info.name": 63,
        "scaling_group.tags.1.key": 128,
        "scaling_group.tags.1.value": 128,
        "scaling_group.data_disks.1.disk_name": 128,
    },
    "ModifyClusterNodePool": {"nodepool_info.name": 63},
}

# Most elements of a list, with the name of each element's part.
LISTS: dict[str, dict[str, int]] = {
    "RunInstances": {"Tag.{}.Key": 20, "DataDisk.{}.Size": 16, "SecurityGroupIds.{}": 16},
    "CreateSnapshot": {"Tag.{}.Key": 20},
    "ImportKeyPair": {"Tag.{}.Key": 20},
    "TagResources": {"Tag.{}.Key": 20, "ResourceId.{}": 50},
    "DescribeInstances": {"Tag.{}.Key": 20},
    "DescribeDisks": {"Tag.{}.Key": 20},
    "DescribeSnapshots": {"Tag.{}.Key": 20},
    "DescribeKeyPairs": {"Tag.{}.Key": 20},
    "DescribeInstanceStatus": {"InstanceId.{}": 100},
    "RunCommand": {"Tag.{}.Key": 20, "InstanceId.{}": 100},
    "DescribeInvocationResults": {"Tag.{}.Key": 20},
    "DescribeInvocations": {"Tag.{}.Key": 20},
    "StopInvocation": {"InstanceId.{}": 50},
    "DescribeCloudAssistantStatus": {"InstanceId.{}": 100},
}

# Parameters that are a list of ids as JSON text, of at most 100.
ID_LISTS: dict[str, str] = {
    "DescribeInstances": "InstanceIds",
    "DescribeDisks": "DiskIds",
    "DescribeSnapshots": "SnapshotIds",
    "DeleteKeyPairs": "KeyPairNames",
    "RemoveNodePoolNodes": "instance_ids",
}
