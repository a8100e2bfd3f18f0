import eslint from "@eslint/js";
import tseslint from "typescript-eslint";

export default tseslint.config(
  eslint.configs.recommended,
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {
      parserOptions: { project: "tsconfig.json", tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      // Numbers in sentences and addresses are meant.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      eqeqeq: "error",
      "no-console": "error",
    },
  },
  {
    files: ["**/*.ts"],
    rules: {
      // Text of people and scripts reaches the page as text nodes, never as markup.
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "Use h() and text nodes (lib/dom.ts)." },
        { property: "outerHTML", message: "Use h() and text nodes (lib/dom.ts)." },
        { property: "insertAdjacentHTML", message: "Use h() and text nodes (lib/dom.ts)." },
      ],
    },
  },
);
