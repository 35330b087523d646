"""From interferogram stacks to velocity: what is made, and where to read how."""

import sys
from pathlib import Path


configfile: Path(workflow.basedir) / "config" / "config.yaml"


sys.path.insert(0, str(Path(workflow.basedir) / "workflow"))


include: "workflow/rules/common.smk"
include: "workflow/rules/grid.smk"
include: "workflow/rules/landscape.smk"
include: "workflow/rules/scenes.smk"
include: "workflow/rules/images.smk"
include: "workflow/rules/isce2.smk"
include: "workflow/rules/grd.smk"
include: "workflow/rules/backscatter.smk"
include: "workflow/rules/offsets.smk"
include: "workflow/rules/snow.smk"
include: "workflow/rules/stack.smk"
include: "workflow/rules/network.smk"
include: "workflow/rules/velocity.smk"
include: "workflow/rules/factors.smk"
include: "workflow/rules/fusion.smk"
include: "workflow/rules/inventory.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/products.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        collect("<results>/{region}/summary.json", region=REGIONS),
        collect("<results>/{region}/paper/figure_{k}.png", region=paper_regions(), k=(1, 2)),
