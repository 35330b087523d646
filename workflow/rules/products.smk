"""Maps of the region, figures and key figures."""


rule project_downslope:
    input:
        grid="<results>/{region}/grid.json",
        terrain="<results>/{region}/terrain.zarr",
        velocity=every_track("velocity.tif", but=GRD),
        sight=every_track("line_of_sight.tif", but=GRD),
        offsets=every_images("velocity.tif"),
    output:
        velocity="<results>/{region}/velocity.tif",
    log:
        "<results>/{region}/logs/project_downslope.log",
    benchmark:
        "<results>/{region}/benchmarks/project_downslope.tsv"
    group:
        "maps"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(1000, 50),
        runtime=minutes(5, 2),
    params:
        min_sensitivity=setting("downslope/min_sensitivity"),
        joining=setting("joining"),
        code=digest("downslope", "joining"),
    message:
        "{wildcards.region}: downslope velocity"
    script:
        "../../scripts/project_downslope.py"


rule cite_sources:
    input:
        own=lambda w: citations.own_files(REGIONS[w.region]),
    output:
        citations="<results>/{region}/CITATIONS.bib",
    log:
        "<results>/{region}/logs/cite_sources.log",
    benchmark:
        "<results>/{region}/benchmarks/cite_sources.tsv"
    localrule: True  # a moment: in a group it would ask for one more processor
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(500, 0),
        runtime=minutes(5, 0),
    params:
        used=lambda w: citations.choose(citing(w)),
        entries=lambda w: citations.wording(citations.choose(citing(w))),
        untold=lambda w: citations.untold(citing(w)),
        elsewhere=lambda w: citations.elsewhere(citing(w)),
        code=digest("citations", "io"),
    message:
        "{wildcards.region}: what to cite"
    script:
        "../../scripts/cite_sources.py"


rule summarise:
    input:
        grid="<results>/{region}/grid.json",
        velocity=region_velocity,
        tracks=every_track("velocity.tif", but=GRD),
        corrections=every_track("corrections.json", but=GRD),
        rejected=rejected_of_tracks,
        offsets=every_images("velocity.tif"),
        networks=every_track("network.json", but=["displacement", *GRD]),
        cycles=every_track("cycles.zarr", but=["displacement", *GRD]),
        truths=every_track(
            "truth.zarr",
            but=["displacement", "scenes", "landscape_scenes", *GRD, *IMAGES, *INTERFEROGRAMS],
        ),
        figures=figures_of,
        backscatter=every_track("backscatter.zarr", but=WITHOUT_BACKSCATTER),
        cross=region_cross,
        snow=snow_factors,
        rejected_optical=rejected_of_optical,
        probability=region_probability,
        accuracy=region_accuracy,
        inventory=region_inventory,
        truth=region_truth,
        citations="<results>/{region}/CITATIONS.bib",
    output:
        summary="<results>/{region}/summary.json",
    log:
        "<results>/{region}/logs/summarise.log",
    benchmark:
        "<results>/{region}/benchmarks/summarise.tsv"
    group:
        "products"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(500, 20),
        runtime=minutes(5, 1),
    params:
        name=setting("name"),
        code=digest("summary", "io", "grid"),
    message:
        "{wildcards.region}: key figures"
    script:
        "../../scripts/summarise.py"
