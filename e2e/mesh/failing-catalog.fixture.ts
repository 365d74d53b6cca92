import { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import { readMeshConfig } from "#mesh/config.ts";
import { implement } from "#mesh/contract/contract.ts";
import { createMesh } from "#mesh/mesh.ts";

// A build of catalog that starts as it should, says that it is well, and answers every call with INTERNAL.

const fail = (): never => {
  throw new Error("this build fails, on purpose");
};

await createMesh("catalog", readMeshConfig()).serve({
  services: [
    implement(CatalogService, {
      getProduct: fail,
      batchGetVariants: fail,
      listProducts: fail,
      searchProducts: fail,
      listCategories: fail,
      createProduct: fail,
      updateProduct: fail,
      archiveProduct: fail,
      importProducts: fail,
    }),
  ],
});
