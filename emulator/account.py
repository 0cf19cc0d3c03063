"""What an account has before anything is made: its keys, network, images and instance types."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field

REGION_ID = "cn-hangzhou"
ZONE_ID = "cn-hangzhou-i"
ALPHABET = string.ascii_letters + string.digits

# vCPUs and memory in GiB of the types that can be ordered here; any other has no stock.
INSTANCE_TYPES = {
    "ecs.c7.large": (2, 4),
    "ecs.c7.xlarge": (4, 8),
    "ecs.c7.2xlarge": (8, 16),
    "ecs.g7.large": (2, 8),
    "ecs.g7.xlarge": (4, 16),
    "ecs.g7.2xlarge": (8, 32),
    "ecs.g7.4xlarge": (16, 64),
}


@dataclass(frozen=True, slots=True)
class Image:
    image_id: str
    family: str
    name: str
    size_gib: int
    created: str


IMAGES = (
    Image(
        "aliyun_3_x64_20G_alibase_20240528.vhd",
        "acs:alibaba_cloud_linux_3_2104_lts_x64",
        "Alibaba Cloud Linux 3.2104 LTS 64 bit",
        20,
        "2024-05-28T06:00:00Z",
    ),
    Image(
        "aliyun_3_x64_20G_container_optimized_alibase_20240528.vhd",
        "acs:alibaba_cloud_linux_3_2104_x64_container_optimized",
        "Alibaba Cloud Linux 3.2104 LTS 64 bit Container Optimized",
        20,
        "2024-05-28T06:00:00Z",
    ),
    Image(
        "lifsea_3_x64_10G_containerd_1_6_alibase_20240528.vhd",
        "acs:lifsea_os_3_x64",
        "ContainerOS 3 64 bit",
        10,
        "2024-05-28T06:00:00Z",
    ),
)
# What a node pool's image_type means; several types share an image here.
NODE_IMAGES = {
    "AliyunLinux3": IMAGES[0],
    "AliyunLinux3ContainerOptimized": IMAGES[1],
    "ContainerOS": IMAGES[2],
}


def random_text(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


@dataclass(frozen=True, slots=True)
class Account:
    """One account in one region with one zone, network and security group."""

    region_id: str = REGION_ID
    zone_id: str = ZONE_ID
    vpc_id: str = "vpc-bp1local000000000000001"
    vswitch_id: str = "vsw-bp1local000000000000001"
    security_group_id: str = "sg-bp1local0000000000001"
    access_key_id: str = field(default_factory=lambda: f"LTAI5t{random_text(18)}")
    access_key_secret: str = field(default_factory=lambda: random_text(30), repr=False)

    def image(self, image_id: str) -> Image | None:
        return next((image for image in IMAGES if image.image_id == image_id), None)

    def newest_of(self, family: str) -> Image | None:
        return next((image for image in IMAGES if image.family == family), None)
