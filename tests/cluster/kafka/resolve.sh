#!/bin/bash
# Writes jars.sha256: Kafka KAFKA_VERSION of ../pins.env and its dependencies, with their checksums. It needs Maven.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/cluster/pins.env
. "$here/../pins.env"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/pom.xml" <<END
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>none</groupId><artifactId>none</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version>
  </dependency></dependencies>
</project>
END
mvn --batch-mode --quiet --file "$work/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
  -Dmdep.useRepositoryLayout=true -DoutputDirectory="$work/jars"
cd "$work/jars"
find . -name '*.jar' -printf '%P\0' | sort -z | xargs -0 sha256sum >"$here/jars.sha256"
