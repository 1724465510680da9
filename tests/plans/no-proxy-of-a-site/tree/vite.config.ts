export default defineConfig({
  build: { outDir: "theoutput" },
})
