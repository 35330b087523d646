"""From maps of probability and motion to the inventory."""


rule make_inventory:
    input:
        grid="<results>/{region}/grid.json",
        terrain="<results>/{region}/terrain.zarr",
        factors="<results>/{region}/factors.zarr",
        velocity="<results>/{region}/velocity.tif",
        probability="<results>/{region}/probability.tif",
        classes="<results>/{region}/classes.tif",
        model=model_of_region,
        series=every_track("displacement.zarr", but=GRD),
        sight=every_track("line_of_sight.tif", but=GRD),
        offsets=every_images("displacement.zarr"),
        rates=every_track("velocity.tif", but=GRD),
        reviewed=file_setting("inventory/reviewed"),
        former=file_setting("inventory/former"),
    output:
        inventory="<results>/{region}/inventory.gpkg",
        project="<results>/{region}/inventory.qgz",
        kinematics="<results>/{region}/kinematics.parquet",
        yearly="<results>/{region}/yearly_velocity.csv",
        changes="<results>/{region}/changes.csv",
    log:
        "<results>/{region}/logs/make_inventory.log",
    benchmark:
        "<results>/{region}/benchmarks/make_inventory.tsv"
    group:
        "products"
    conda:
        "../../envs/fusion.yaml"
    resources:
        mem_mb=megabytes(2000, 20),
        runtime=minutes(20, 2),
    params:
        inventory=setting("inventory"),
        name=setting("name"),
        code=digest(
            "downslope",
            "inventory.assemble",
            "inventory.kinematics",
            "inventory.moving",
            "inventory.outlines",
            "inventory.project",
            "inventory.review",
        ),
    message:
        "{wildcards.region}: the inventory"
    script:
        "../../scripts/make_inventory.py"


rule compare_with_truth:
    input:
        inventory="<results>/{region}/inventory.gpkg",
        yearly="<results>/{region}/yearly_velocity.csv",
        sight=every_track("line_of_sight.tif", but=GRD),
        ground="<results>/{region}/landscape/ground.zarr",
        objects="<results>/{region}/landscape/objects.gpkg",
    output:
        comparison="<results>/{region}/truth.json",
    log:
        "<results>/{region}/logs/compare_with_truth.log",
    benchmark:
        "<results>/{region}/benchmarks/compare_with_truth.tsv"
    wildcard_constraints:
        region=with_landscape,
    group:
        "products"
    conda:
        "../../envs/fusion.yaml"
    resources:
        mem_mb=megabytes(1500, 0),
        runtime=minutes(5, 0),
    params:
        code=digest("inventory.truth", "simulation_landscape"),
    message:
        "{wildcards.region}: found, missed and false objects"
    script:
        "../../scripts/compare_with_truth.py"
