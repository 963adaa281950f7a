/*
 * manifest_artifact_json - the names in an artifact manifest, for those who read and write it
 */
#ifndef IMGFS_FETCH_MANIFEST_ARTIFACT_JSON_H
#define IMGFS_FETCH_MANIFEST_ARTIFACT_JSON_H

#include "fetch/manifest_artifact.h"
#include "fetch/manifest_json.h"

#define ARTIFACT_TREE		  "application/vnd.imgfs.tree.v1"
#define ARTIFACT_FORM		  "application/vnd.imgfs.layer.v1"
#define ARTIFACT_PROFILE	  "application/vnd.imgfs.profile.v1"
#define ARTIFACT_LAYER		  "vnd.imgfs.layer"
#define ARTIFACT_SIGNATURE_PREFIX "vnd.imgfs.signature."

/* artifact_key_id_of - the key that a signature's annotation names; -ENOENT for other annotations.
 */
err_t artifact_key_id_of(const char *annotation, char out[ARTIFACT_KEY_ID_MAX]) must_check;

#endif
