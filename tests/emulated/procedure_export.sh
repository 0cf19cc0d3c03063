#!/bin/bash
# shellcheck disable=SC2188  # kept as the procedure has it
OUTPUT_FILE="./image_list.txt"
> "$OUTPUT_FILE"
images=$(crictl images --no-trunc|awk 'NR>1 {print $1 ":" $2}')
for image in $images; do
  echo "$image" >> "$OUTPUT_FILE"
done
